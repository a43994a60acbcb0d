"""Unpacking one layer into a directory of its own, in the form overlayfs wants for a lower directory.

(image-spec, layer.md.) Every path is resolved below the layer's directory by the kernel, see ``rooted``:
absolute names lose their slash, a link as a parent is followed as if the layer's directory were the root,
``..`` in a name is refused. An entry replaces what an earlier one put there; files are always made anew, so
nothing is ever written through a link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence

from carob.errors import CorruptData
from carob.image.failures import translate
from carob.image.file_data import make_file
from carob.image.layer_directories import LayerDirectories
from carob.image.layer_stream import LayerStream
from carob.image.layout import Layout
from carob.image.metadata import check_xattrs, set_named_metadata
from carob.image.overlay import OPAQUE_XATTR, WHITEOUT_DEVICE, is_opaque, is_shown, is_whiteout
from carob.image.rooted import DIRECTORY, open_in_root, remove_tree
from carob.image.tar_entry import DEVICES, Entry, EntryType
from carob.image.tar_reader import TarReader
from carob.spec.oci.descriptor import Descriptor

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."


def unpack_layer(
    layout: Layout, descriptor: Descriptor, diff_id: str, target: str, parents: Sequence[str]
) -> None:
    """Unpacks a blob into the empty directory ``target``.

    ``parents`` are the layers below, top first. The blob's digest and ``diff_id`` are checked as the bytes
    pass: on any error the caller throws ``target`` away.
    """
    what = f"layer {descriptor.digest}"
    blob_fd = layout.open_blob(descriptor)
    try:
        stream = LayerStream(blob_fd, what)
        reader = TarReader(stream.read, what)
        with LayerUnpacker(target, parents, what) as unpacker:
            for entry in reader:
                unpacker.apply(entry, reader.data())
            unpacker.finish()
        stream.drain()
    finally:
        os.close(blob_fd)
    if stream.digest != descriptor.digest:
        raise CorruptData(f"{what}: its digest is {stream.digest}")
    if stream.diff_id != diff_id:
        raise CorruptData(f"{what}: its diff id is {stream.diff_id}, not {diff_id}")


def clean_path(raw: bytes, what: str) -> bytes:
    """A path without empty and ``.`` parts, relative to the layer; ``..`` is refused."""
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise CorruptData(f"{what}: '..' in a path")
    return b"/".join(parts)


class LayerUnpacker:
    """Applies entries to the directory ``target``; to be used with ``with``."""

    def __init__(self, target: str, parents: Sequence[str], what: str) -> None:
        self._what = what
        self._parents = parents
        self._root_fd = os.open(target, DIRECTORY)
        self._directories = LayerDirectories(self._root_fd, parents, what)
        self._hides_all = False
        self._whiteouts: list[tuple[bytes, bytes]] = []

    def __enter__(self) -> LayerUnpacker:
        return self

    def __exit__(self, *_: object) -> None:
        self._directories.close()
        os.close(self._root_fd)

    def apply(self, entry: Entry, data: Iterable[memoryview]) -> None:
        """Makes one file. ``CorruptData`` and the like name the layer and the entry."""
        what = f"{self._what}, entry {entry.path[:200].decode('utf-8', 'backslashreplace')!r}"
        check_xattrs(entry, what)
        path = clean_path(entry.path, what)
        try:
            if not path:
                self._apply_root(entry, what)
                return
            parent, _, name = path.rpartition(b"/")
            if name.startswith(WHITEOUT) or path.startswith(_AUFS):
                self._apply_whiteout(parent, name, what)
            else:
                self._make(entry, path, parent, name, data, what)
        except OSError as error:
            raise translate(error, what) from error

    def finish(self) -> None:
        """Sets the attributes of the directories; no entry may follow."""
        try:
            if self._hides_all:
                self._hide_root()
            self._drop_stray_whiteouts()
            self._directories.finish()
        except OSError as error:
            raise translate(error, self._what) from error

    def _apply_root(self, entry: Entry, what: str) -> None:
        if entry.type is not EntryType.DIRECTORY:
            raise CorruptData(f"{what}: the root of a layer is a directory")
        self._directories.remember(b"", os.fstat(self._root_fd).st_ino, entry)

    def _apply_whiteout(self, parent: bytes, name: bytes, what: str) -> None:
        if name == OPAQUE:
            self._hide_below(parent)
            return
        if name.startswith(_AUFS) or parent.startswith(_AUFS):
            return  # aufs's own bookkeeping, in images of long ago
        deleted = name.removeprefix(WHITEOUT)
        if deleted in (b"", b".", b".."):
            raise CorruptData(f"{what}: a whiteout of no file")
        # Overlayfs shows a mark of deletion as a broken file where there is nothing to delete.
        if not is_shown(self._parents, parent, deleted):
            return
        dir_fd = self._directories.open(parent)
        status = _status(dir_fd, deleted)
        if status is None:
            os.mknod(deleted, stat.S_IFCHR, WHITEOUT_DEVICE, dir_fd=dir_fd)
            self._whiteouts.append((parent, deleted))
        elif stat.S_ISDIR(status.st_mode):
            # A whiteout is about the layers below only; what this layer has of that name stays.
            self._set_opaque(dir_fd, deleted)

    def _hide_below(self, parent: bytes) -> None:
        if not parent:
            self._hides_all = True
        elif self._parents:
            os.setxattr(self._directories.open(parent), OPAQUE_XATTR, b"y")

    def _drop_stray_whiteouts(self) -> None:
        """Removes marks of deletion below directories that hide all in any case: see above."""
        for parent, name in self._whiteouts:
            names = parent.split(b"/")
            prefixes = [b"/".join(names[:depth]) for depth in range(1, len(names) + 1) if parent]
            if any(self._is_opaque(prefix) for prefix in prefixes):
                dir_fd = self._directories.open(parent)
                status = _status(dir_fd, name)
                if status is not None and is_whiteout(status):
                    os.unlink(name, dir_fd=dir_fd)

    def _is_opaque(self, path: bytes) -> bool:
        return is_opaque(self._directories.open(path))

    def _hide_root(self) -> None:
        """Overlayfs merges the roots of layers in any case, so what is below is deleted by name."""
        for name in {os.fsencode(name) for layer in self._parents for name in os.listdir(layer)}:
            if not is_shown(self._parents, b"", name):
                continue
            status = _status(self._root_fd, name)
            if status is None:
                os.mknod(name, stat.S_IFCHR, WHITEOUT_DEVICE, dir_fd=self._root_fd)
            elif stat.S_ISDIR(status.st_mode):
                self._set_opaque(self._root_fd, name)

    @staticmethod
    def _set_opaque(dir_fd: int, name: bytes) -> None:
        fd = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)
        try:
            os.setxattr(fd, OPAQUE_XATTR, b"y")
        finally:
            os.close(fd)

    def _make(
        self, entry: Entry, path: bytes, parent: bytes, name: bytes, data: Iterable[memoryview], what: str
    ) -> None:
        dir_fd = self._directories.open(parent)
        existing = _status(dir_fd, name)
        if entry.type is EntryType.DIRECTORY:
            self._make_directory(entry, path, dir_fd, name, existing)
            return
        if entry.type is EntryType.HARD_LINK:
            self._make_hard_link(entry, dir_fd, name, existing, what)
            return
        if entry.type in DEVICES and (entry.device_major, entry.device_minor) == (0, 0):
            raise CorruptData(f"{what}: a device 0/0 would be taken for a whiteout")
        self._clear(dir_fd, name, existing)
        match entry.type:
            case EntryType.FILE:
                make_file(entry, dir_fd, name, data)
                return
            case EntryType.SYMLINK:
                os.symlink(entry.link_target, name, dir_fd=dir_fd)
            case EntryType.FIFO:
                os.mkfifo(name, 0o600, dir_fd=dir_fd)
            case _:
                kind = stat.S_IFCHR if entry.type is EntryType.CHARACTER_DEVICE else stat.S_IFBLK
                device = os.makedev(entry.device_major, entry.device_minor)
                os.mknod(name, 0o600 | kind, device, dir_fd=dir_fd)
        set_named_metadata(dir_fd, name, entry)

    def _clear(self, dir_fd: int, name: bytes, existing: os.stat_result | None) -> None:
        """Removes what is in the way of a new file."""
        if existing is None:
            return
        if stat.S_ISDIR(existing.st_mode):
            remove_tree(name, dir_fd=dir_fd)
            self._directories.forget()
        else:
            os.unlink(name, dir_fd=dir_fd)
            if stat.S_ISLNK(existing.st_mode):
                self._directories.forget()

    def _make_directory(
        self, entry: Entry, path: bytes, dir_fd: int, name: bytes, existing: os.stat_result | None
    ) -> None:
        if existing is None or not stat.S_ISDIR(existing.st_mode):
            self._clear(dir_fd, name, existing)
            os.mkdir(name, 0o700, dir_fd=dir_fd)
            if existing is not None and is_whiteout(existing):
                self._set_opaque(dir_fd, name)
            existing = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        self._directories.remember(path, existing.st_ino, entry)

    def _make_hard_link(
        self, entry: Entry, dir_fd: int, name: bytes, existing: os.stat_result | None, what: str
    ) -> None:
        """Links to an earlier file of this layer; the mode and owner in the entry are the file's own."""
        target_parent, _, target_name = clean_path(entry.link_target, what).rpartition(b"/")
        shown = entry.link_target[:200].decode("utf-8", "backslashreplace")
        if not target_name or target_name.startswith(WHITEOUT):
            raise CorruptData(f"{what}: a hard link to {shown!r}")
        try:
            target_fd = open_in_root(self._root_fd, target_parent)
        except OSError as error:
            raise CorruptData(f"{what}: a hard link to {shown!r}, which this layer does not have") from error
        try:
            target = _status(target_fd, target_name)
            if target is None or is_whiteout(target):
                raise CorruptData(f"{what}: a hard link to {shown!r}, which this layer does not have")
            if stat.S_ISDIR(target.st_mode):
                raise CorruptData(f"{what}: a hard link to the directory {shown!r}")
            if existing is not None and existing.st_ino == target.st_ino:
                return
            self._clear(dir_fd, name, existing)
            os.link(target_name, name, src_dir_fd=target_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
        finally:
            os.close(target_fd)


def _status(dir_fd: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None

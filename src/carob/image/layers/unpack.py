"""Unpacking one layer into a directory of its own, as far as that needs no look at the layers below.

(image-spec, layer.md.) Every path is resolved below the layer's directory by the kernel, see ``rooted``:
absolute names lose their slash, a link as a parent is followed as if the layer's directory were the root,
``..`` in a name is refused. An entry replaces what an earlier one put there; files are always made anew, so
nothing is ever written through a link. What is deleted below, and what directories that no entry names are
to be, is for ``settle``: so layers are unpacked side by side.
"""

from __future__ import annotations

import os
import stat

from carob.errors import CorruptData, OutOfResources, Unsupported
from carob.image.failures import translate
from carob.image.files.data import write_data
from carob.image.files.metadata import MetadataWriter, check_xattrs
from carob.image.files.paths import OPAQUE, WHITEOUT, clean_path, is_of_aufs, shown
from carob.image.files.rooted import DIRECTORY, remove_tree
from carob.image.layers.directories import LayerDirectories
from carob.image.layers.unsettled import Unsettled
from carob.image.tar.entry import DEVICES, EntryType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from carob.image.layers.mode import UnpackMode
    from carob.image.layers.recorder import Recorder
    from carob.image.tar.entry import Entry
    from carob.image.tar.limits import Allowance, UnpackLimits

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LayerUnpacker:
    """Applies entries to the empty directory ``target``; to be used with ``with``.

    With ``has_no_umask`` files are made with their modes at once. That they stand open meanwhile to whom they
    will be open in the end does no harm: nobody gets past the directory of all layers.
    """

    def __init__(
        self,
        target: str,
        what: str,
        *,
        recorder: Recorder,
        mode: UnpackMode,
        limits: UnpackLimits,
        allowance: Allowance,
        has_no_umask: bool = False,
    ) -> None:
        self._what = what
        self._allowance = allowance
        self._recorder = recorder
        self._mode = mode
        self._has_no_umask = has_no_umask
        self._limits = limits
        self._root_fd = os.open(target, DIRECTORY)
        root = os.fstat(self._root_fd)
        self._metadata = MetadataWriter((root.st_uid, root.st_gid), keeps_owners=mode.keeps_owners)
        self._directories = LayerDirectories(self._root_fd, what, allowance)
        self._unsettled = Unsettled()
        self._changed: dict[bytes, bytes] = {}  # directories in which something is deleted, each once
        self._left_out: dict[bytes, EntryType] = {}

    def __enter__(self) -> LayerUnpacker:
        return self

    def __exit__(self, *_: object) -> None:
        self._directories.close()
        os.close(self._root_fd)

    def apply(self, entry: Entry, data: Iterable[memoryview]) -> None:
        """Makes one file. ``CorruptData`` and the like name the layer and the entry."""
        try:
            if entry.xattrs:
                check_xattrs(entry, self._named(entry), self._limits)
            if entry.extents is not None:
                self._allowance.take_holes(entry.real_size_bytes - entry.size_bytes, self._named(entry))
            path = clean_path(entry.path, "", self._limits)
            if not path:
                self._apply_root(entry)
                return
            parent, _, name = path.rpartition(b"/")
            if b".wh." in path and (name.startswith(WHITEOUT) or is_of_aufs(path)):
                self._note_whiteout(parent, name)
                return
            dir_fd, directory = self._directories.open(parent)
            real = directory + b"/" + name if directory else name
            if entry.type is EntryType.FILE:
                self._make_file(entry, dir_fd, name, real, data)
            elif entry.type is EntryType.DIRECTORY:
                self._make_directory(entry, dir_fd, name, real)
            elif entry.type is EntryType.HARD_LINK:
                self._make_hard_link(entry, dir_fd, name, real)
            else:
                self._make_special(entry, dir_fd, name, real)
        except OSError as error:
            raise translate(error, self._named(entry)) from error
        except (CorruptData, OutOfResources, Unsupported) as error:
            if error.message.startswith(self._what):
                raise
            raise type(error)(f"{self._named(entry)}: {error.message}", hint=error.hint) from error

    def finish(self) -> Unsettled:
        """Sets the attributes of the directories; no entry may follow. Returns what is left to do."""
        try:
            self._unsettled.implied = self._directories.finish(self._metadata, self._recorder)
            self._recorder.flush()
        except OSError as error:
            raise translate(error, self._what) from error
        return self._unsettled

    def _named(self, entry: Entry) -> str:
        return f"{self._what}, entry {shown(entry.path)}"

    def _apply_root(self, entry: Entry) -> None:
        if entry.type is not EntryType.DIRECTORY:
            raise CorruptData("the root of a layer is a directory")
        self._directories.remember(b"", os.fstat(self._root_fd).st_ino, entry)

    def _note_whiteout(self, parent: bytes, name: bytes) -> None:
        if name == OPAQUE:
            opaque = self._directories.open(parent)[1]
            self._allowance.keep(len(opaque))
            self._unsettled.opaque.append(opaque)
        elif not is_of_aufs(name) and not is_of_aufs(parent):
            deleted = name.removeprefix(WHITEOUT)
            if deleted in (b"", b".", b".."):
                raise CorruptData("a whiteout of no file")
            if parent not in self._changed:
                # Settling looks for it, and for all that it is in.
                self._allowance.keep(len(parent) * (parent.count(b"/") + 1))
            self._allowance.keep(len(deleted))
            self._unsettled.whiteouts.append((self._changed.setdefault(parent, parent), deleted))

    def _make_file(
        self, entry: Entry, dir_fd: int, name: bytes, real: bytes, data: Iterable[memoryview]
    ) -> None:
        mode = entry.mode & 0o777 if self._has_no_umask else 0o600
        try:
            fd = os.open(name, _NEW_FILE, mode, dir_fd=dir_fd)
        except FileExistsError:
            self._clear(dir_fd, name, real)
            fd = os.open(name, _NEW_FILE, mode, dir_fd=dir_fd)
        try:
            digest = write_data(fd, entry, data)
            self._metadata.set_open(fd, entry, mode)
        finally:
            os.close(fd)
        self._recorder.file(real, entry, digest)

    def _make_special(self, entry: Entry, dir_fd: int, name: bytes, real: bytes) -> None:
        """Makes a symbolic link, a fifo or a device."""
        if entry.type in DEVICES:
            if (entry.device_major, entry.device_minor) == (0, 0):
                raise CorruptData("a device 0/0 would be taken for a whiteout")
            if not self._mode.makes_devices:
                self._clear(dir_fd, name, real)
                self._leave_out(real, entry.type)
                return
        make = _maker(entry)
        try:
            make(name, dir_fd)
        except FileExistsError:
            self._clear(dir_fd, name, real)
            make(name, dir_fd)
        self._metadata.set_named(dir_fd, name, entry)
        self._recorder.special(real, entry)

    def _leave_out(self, real: bytes, kind: EntryType) -> None:
        self._allowance.keep(len(real))
        self._left_out[real] = kind
        self._recorder.left_out(real, kind)

    def _make_directory(self, entry: Entry, dir_fd: int, name: bytes, real: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=dir_fd)
        except FileExistsError:
            status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                self._clear(dir_fd, name, real)
                os.mkdir(name, 0o700, dir_fd=dir_fd)
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        self._directories.remember(real, status.st_ino, entry)

    def _make_hard_link(self, entry: Entry, dir_fd: int, name: bytes, real: bytes) -> None:
        """Links to an earlier file of this layer; the mode and owner in the entry are the file's own."""
        target = clean_path(entry.link_target, "", self._limits)
        parent, _, target_name = target.rpartition(b"/")
        if not target_name or target_name.startswith(WHITEOUT):
            raise CorruptData(f"a hard link to {shown(entry.link_target)}")
        try:
            target_fd, target_directory = self._directories.open_existing(parent)
        except OSError as error:
            raise _no_target(entry) from error
        try:
            target_real = target_directory + b"/" + target_name if target_directory else target_name
            try:
                status = os.stat(target_name, dir_fd=target_fd, follow_symlinks=False)
            except FileNotFoundError as error:
                kind = self._left_out.get(target_real)
                if kind is None:
                    raise _no_target(entry) from error
                self._clear(dir_fd, name, real)
                self._leave_out(real, kind)
                return
            if stat.S_ISDIR(status.st_mode):
                raise CorruptData(f"a hard link to the directory {shown(entry.link_target)}")
            if target_real == real:
                return
            self._link(target_name, target_fd, name, dir_fd, real)
        finally:
            os.close(target_fd)
        self._recorder.hard_link(target_real, real)

    def _link(self, target: bytes, target_fd: int, name: bytes, dir_fd: int, real: bytes) -> None:
        def link() -> None:
            os.link(target, name, src_dir_fd=target_fd, dst_dir_fd=dir_fd, follow_symlinks=False)

        try:
            link()
        except FileExistsError:
            self._clear(dir_fd, name, real)
            link()

    def _clear(self, dir_fd: int, name: bytes, real: bytes) -> None:
        """Removes what is in the way of a new file."""
        try:
            status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        self._allowance.keep(3 * len(real))
        if stat.S_ISDIR(status.st_mode):
            remove_tree(name, dir_fd=dir_fd)
            self._recorder.void_tree(real)
        else:
            os.unlink(name, dir_fd=dir_fd)
            self._recorder.void(real)
        if stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
            self._directories.forget()


def _no_target(entry: Entry) -> CorruptData:
    return CorruptData(f"a hard link to {shown(entry.link_target)}, which this layer does not have")


def _maker(entry: Entry) -> Callable[[bytes, int], None]:
    match entry.type:
        case EntryType.SYMLINK:
            return lambda name, dir_fd: os.symlink(entry.link_target, name, dir_fd=dir_fd)
        case EntryType.FIFO:
            return lambda name, dir_fd: os.mkfifo(name, 0o600, dir_fd=dir_fd)
    kind = stat.S_IFCHR if entry.type is EntryType.CHARACTER_DEVICE else stat.S_IFBLK
    device = os.makedev(entry.device_major, entry.device_minor)
    return lambda name, dir_fd: os.mknod(name, 0o600 | kind, device, dir_fd=dir_fd)

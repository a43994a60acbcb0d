"""The directories of a layer while it is unpacked: found, made where missing, finished at the end."""

from __future__ import annotations

import errno
import os
import struct

from carob.errors import CorruptData
from carob.image.files.paths import shown
from carob.image.files.rooted import DIRECTORY, open_in_root, open_without_links, path_below
from carob.image.limits import limit_hint
from carob.image.tar.entry import Entry, EntryType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from carob.image.files.metadata import MetadataWriter
    from carob.image.layers.recorder import Recorder
    from carob.image.tar.limits import Allowance

_CACHED = 64
_ATTRIBUTES = struct.Struct("=HIIqI")  # mode, owner, group, time in seconds and nanoseconds
_IMPLIED = b"\0" + b"\xff" * _ATTRIBUTES.size
_SECOND_NS = 1_000_000_000


class LayerDirectories:
    """Gives descriptors of directories by their path in the layer.

    A link on the way is followed inside the layer, as in a chroot. A directory that is missing is made, and
    remembered as implied: what it is to be depends on the layers below. Attributes of the others are set at
    the end: times change while files are made, and a default ACL would be inherited.
    """

    def __init__(self, root_fd: int, what: str, allowance: Allowance) -> None:
        self.root_fd = root_fd
        self._what = what
        self._allowance = allowance
        self._limits = allowance.limits
        self._implied = 0
        self._cache: dict[bytes, tuple[int, bytes]] = {}
        self._is_stale = False
        # By inode, for one directory may be named through links: path and attributes, packed, for there may
        # be a million; and extended attributes, where it has any.
        self._known: dict[int, bytes] = {}
        self._xattrs: dict[int, Mapping[str, bytes]] = {}
        self.remember(b"", os.fstat(root_fd).st_ino, None)

    def close(self) -> None:
        """Closes the descriptors; ``root_fd`` stays the caller's."""
        while self._cache:
            os.close(self._cache.popitem()[1][0])
        self._is_stale = False

    def forget(self) -> None:
        """To be called when a directory, or a link that may lead to one, is replaced.

        The descriptor that was given last stays open until the next is asked for.
        """
        self._is_stale = True

    def open(self, path: bytes) -> tuple[int, bytes]:
        """The descriptor of the directory at a clean ``path``, and its path without links on the way.

        The descriptor stays this object's, and is good until the next call.
        """
        if self._is_stale:
            self.close()
        found = self._cache.get(path)
        if found is not None:
            return found
        if not path:
            return self.root_fd, b""
        try:
            opened = self._open(path)
        except (FileNotFoundError, NotADirectoryError):
            opened = self._make_missing(path)
        if len(self._cache) >= _CACHED:
            self.close()
        self._cache[path] = opened
        return opened

    def open_existing(self, path: bytes) -> tuple[int, bytes]:
        """The same for a directory that must be there; the descriptor is the caller's."""
        return self._open(path) if path else (os.dup(self.root_fd), b"")

    def _open(self, path: bytes) -> tuple[int, bytes]:
        try:
            return open_without_links(self.root_fd, path), path
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        fd = open_in_root(self.root_fd, path)
        try:
            return fd, path_below(self.root_fd, fd)
        except BaseException:
            os.close(fd)
            raise

    def remember(self, path: bytes, inode: int, entry: Entry | None) -> None:
        """Notes what the directory at a path without links is to be at the end; ``None`` where the layers
        below say it.
        """
        self._xattrs.pop(inode, None)
        if inode not in self._known:
            self._allowance.keep(len(path))
        if entry is None:
            self._known[inode] = path + _IMPLIED
            return
        seconds, nanoseconds = divmod(entry.mtime_ns, _SECOND_NS)
        packed = b"\0" + _ATTRIBUTES.pack(entry.mode, entry.uid, entry.gid, seconds, nanoseconds)
        self._known[inode] = path + packed
        if entry.xattrs:
            self._allowance.keep(sum(len(name) + len(value) for name, value in entry.xattrs.items()))
            self._xattrs[inode] = entry.xattrs

    def _make_missing(self, path: bytes) -> tuple[int, bytes]:
        names = path.split(b"/")
        fd, real = os.dup(self.root_fd), b""
        try:
            for depth, name in enumerate(names, 1):
                try:
                    inner, inner_real = self._open(b"/".join(names[:depth]))
                except (FileNotFoundError, NotADirectoryError):
                    inner_real = real + b"/" + name if real else name
                    inner = self._make(fd, name, inner_real)
                os.close(fd)
                fd, real = inner, inner_real
        except BaseException:
            os.close(fd)
            raise
        return fd, real

    def _make(self, dir_fd: int, name: bytes, path: bytes) -> int:
        self._implied += 1  # one long path may ask for hundreds
        if self._implied > self._limits.entries:
            raise CorruptData(
                f"{self._what}: more than {self._limits.entries} directories", hint=limit_hint("entries")
            )
        try:
            os.mkdir(name, 0o700, dir_fd=dir_fd)
        except FileExistsError:
            raise CorruptData(
                f"{self._what}: {shown(path)} is a file, or a link to nowhere, with files below it"
            ) from None
        self.remember(path, os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_ino, None)
        return os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)

    def finish(self, metadata: MetadataWriter, recorder: Recorder) -> list[bytes]:
        """Sets the attributes of the directories, the innermost first; returns the paths of the implied
        ones, the outermost first.
        """
        self.close()
        implied = []
        # A NUL is between path and attributes, so these are in the order of the paths.
        for inode in sorted(self._known, key=self._known.__getitem__, reverse=True):
            packed = self._known.pop(inode)
            path, attributes = packed[: -len(_IMPLIED)], packed[-len(_IMPLIED) :]
            try:
                fd = open_without_links(self.root_fd, path)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    continue  # a later entry replaced it
                raise
            try:
                if os.fstat(fd).st_ino != inode:
                    continue
                if attributes == _IMPLIED:
                    implied.append(path)
                    continue
                mode, uid, gid, seconds, nanoseconds = _ATTRIBUTES.unpack_from(attributes, 1)
                entry = Entry(
                    path,
                    EntryType.DIRECTORY,
                    mode=mode,
                    uid=uid,
                    gid=gid,
                    mtime_ns=seconds * _SECOND_NS + nanoseconds,
                    xattrs=self._xattrs.get(inode, {}),
                )
                metadata.set_open(fd, entry)
                recorder.directory(path, entry)
            finally:
                os.close(fd)
        return implied[::-1]

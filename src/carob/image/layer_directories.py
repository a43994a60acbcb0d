"""The directories of a layer while it is unpacked: found, made where missing, finished at the end."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from carob.errors import CorruptData
from carob.image.metadata import copy_metadata, set_open_metadata
from carob.image.overlay import OPAQUE_XATTR, is_whiteout, open_merged_directory
from carob.image.rooted import open_in_root
from carob.image.tar_entry import Entry

_CACHED = 64
_IMPLIED_MODE = 0o755


class LayerDirectories:
    """Gives descriptors of directories by their path in the layer.

    A link on the way is followed inside the layer, as in a chroot. A directory that is missing is made; at
    the end it takes its attributes from the one it covers in ``parents`` (top first), else it is root's,
    mode 0755, of 1970, so that a layer unpacks the same every time. Attributes are set at the end: times
    change while files are made, and a default ACL would be inherited.
    """

    def __init__(self, root_fd: int, parents: Sequence[str], what: str) -> None:
        self.root_fd = root_fd
        self._parents = parents
        self._what = what
        self._cache: dict[bytes, int] = {}
        self._is_stale = False
        # By inode, for one directory may be named through links: its path, and its entry if it had one.
        self._known: dict[int, tuple[bytes, Entry | None]] = {os.fstat(root_fd).st_ino: (b"", None)}

    def close(self) -> None:
        """Closes the descriptors; ``root_fd`` stays the caller's."""
        while self._cache:
            os.close(self._cache.popitem()[1])
        self._is_stale = False

    def forget(self) -> None:
        """To be called when a directory, or a link that may lead to one, is replaced.

        The descriptor that was given last stays open until the next is asked for.
        """
        self._is_stale = True

    def open(self, path: bytes) -> int:
        """The descriptor of the directory at a clean ``path``; it stays this object's, and is good until
        the next call.
        """
        if not path:
            return self.root_fd
        if self._is_stale:
            self.close()
        fd = self._cache.get(path)
        if fd is not None:
            return fd
        try:
            fd = open_in_root(self.root_fd, path)
        except (FileNotFoundError, NotADirectoryError):
            fd = self._make_missing(path)
        if len(self._cache) >= _CACHED:
            self.close()
        self._cache[path] = fd
        return fd

    def remember(self, path: bytes, inode: int, entry: Entry) -> None:
        """Notes what a directory is to be at the end."""
        self._known[inode] = (path, entry)

    def _make_missing(self, path: bytes) -> int:
        names = path.split(b"/")
        fd = os.dup(self.root_fd)
        try:
            for depth, name in enumerate(names, 1):
                prefix = b"/".join(names[:depth])
                try:
                    inner = open_in_root(self.root_fd, prefix)
                except (FileNotFoundError, NotADirectoryError):
                    inner = self._make(fd, name, prefix)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _make(self, dir_fd: int, name: bytes, path: bytes) -> int:
        was_deleted = False
        try:
            os.mkdir(name, 0o700, dir_fd=dir_fd)
        except FileExistsError:
            if not is_whiteout(os.stat(name, dir_fd=dir_fd, follow_symlinks=False)):
                shown = path.decode("utf-8", "backslashreplace")
                raise CorruptData(
                    f"{self._what}: {shown!r} is a file, or a link to nowhere, with files below it"
                ) from None
            was_deleted = True
            os.unlink(name, dir_fd=dir_fd)
            os.mkdir(name, 0o700, dir_fd=dir_fd)
        fd = open_in_root(self.root_fd, path)
        if was_deleted:
            os.setxattr(fd, OPAQUE_XATTR, b"y")
        self._known[os.fstat(fd).st_ino] = (path, None)
        return fd

    def finish(self) -> None:
        """Sets the attributes of all directories, the innermost first."""
        self.close()
        by_path = sorted(self._known.items(), key=lambda item: item[1][0], reverse=True)
        for inode, (path, entry) in by_path:
            try:
                fd = open_in_root(self.root_fd, path)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    continue  # a later entry replaced it
                raise
            try:
                if os.fstat(fd).st_ino != inode:
                    continue
                if entry is not None:
                    set_open_metadata(fd, entry)
                else:
                    self._inherit(fd, path)
            finally:
                os.close(fd)

    def _inherit(self, fd: int, path: bytes) -> None:
        covered = open_merged_directory(self._parents, path)
        if covered is None:
            os.fchown(fd, 0, 0)
            os.fchmod(fd, _IMPLIED_MODE)
            os.utime(fd, ns=(0, 0))
            return
        try:
            copy_metadata(covered, fd)
        finally:
            os.close(covered)

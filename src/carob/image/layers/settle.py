"""Settling an unpacked layer on those below: what its archive leaves to them.

Marks of deletion are made only where there is something to delete: overlayfs shows one in a directory that
merges with nothing as a broken file. A directory that no entry names takes its attributes from the one it
covers, else it is root's, mode 0755, of 1970, so that a layer unpacks the same every time.
"""

from __future__ import annotations

import errno
import os
import stat

from carob.image.failures import translate
from carob.image.files.metadata import copy_metadata, read_xattrs
from carob.image.files.overlay import (
    WHITEOUT_DEVICE,
    close_all,
    is_shown_in,
    open_merged,
    open_merged_directory,
)
from carob.image.files.rooted import DIRECTORY, open_in_root, open_without_links, path_below
from carob.image.layers.recorder import Recorder
from carob.image.tar.entry import Entry, EntryType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from carob.image.files.overlay import OverlayForm
    from carob.image.layers.unsettled import Unsettled

_IMPLIED_MODE = 0o755
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def settle_tree(
    tree: str, record: str, unsettled: Unsettled, parents: Sequence[str], form: OverlayForm, what: str
) -> None:
    """Finishes the layer in ``tree``, and its record; ``parents`` are the layers below, top first."""
    root_fd = os.open(tree, DIRECTORY)
    try:
        recorder = Recorder(record, None)
        try:
            _Settling(root_fd, parents, form, recorder).run(unsettled)
            recorder.finish()
        finally:
            recorder.close()
    except OSError as error:
        raise translate(error, what) from error
    finally:
        os.close(root_fd)


class _Settling:
    def __init__(self, root_fd: int, parents: Sequence[str], form: OverlayForm, recorder: Recorder) -> None:
        self._root_fd = root_fd
        self._parents = parents
        self._form = form
        self._recorder = recorder
        self._located: dict[bytes, bytes | None] = {b"": b""}
        self._hidden: set[bytes] = set()  # directories that are opaque
        self._renewed: set[bytes] = set()  # those of them that are others than the ones below
        self._implied: list[bytes] = []

    def run(self, unsettled: Unsettled) -> None:
        self._implied = list(unsettled.implied)
        if self._parents:
            whiteouts = list(unsettled.whiteouts)
            for path in unsettled.opaque:
                if path:
                    self._hide_below(path)
                else:
                    whiteouts += self._all_in_root()
            self._delete(whiteouts)
        # Last, for a whiteout changes the times of its directory; the innermost first.
        for path in sorted(self._implied, reverse=True):
            self._inherit(path)

    def _hide_below(self, path: bytes) -> None:
        fd = self._open(path)
        if fd is not None:
            try:
                self._make_opaque(fd, path)
            finally:
                os.close(fd)

    def _all_in_root(self) -> list[tuple[bytes, bytes]]:
        """Overlayfs merges the roots of layers in any case, so what is below is deleted by name."""
        return [(b"", os.fsencode(name)) for layer in self._parents for name in os.listdir(layer)]

    def _delete(self, whiteouts: Sequence[tuple[bytes, bytes]]) -> None:
        """Makes marks of deletion: directories hide what is below them first, then no others are needed."""
        by_directory: dict[bytes, list[bytes]] = {}
        for parent, name in whiteouts:
            directory = self._locate(parent)
            if directory is not None:
                by_directory.setdefault(directory, []).append(name)
        missing = {
            directory: self._not_in_this_layer(directory, self._shown_below(directory, names))
            for directory, names in by_directory.items()
        }
        for directory, names in missing.items():
            if names and not self._is_hidden(directory):
                self._make_whiteouts(directory, names)

    def _shown_below(self, directory: bytes, names: Sequence[bytes]) -> list[bytes]:
        """Those of ``names`` that the layers below show in a directory, each once."""
        merged = open_merged(self._parents, directory)
        try:
            return [name for name in dict.fromkeys(names) if is_shown_in(merged, name)]
        finally:
            close_all(merged)

    def _not_in_this_layer(self, directory: bytes, names: list[bytes]) -> list[bytes]:
        """A whiteout is about the layers below only: what this layer has of a name stays, and is opaque
        where it is a directory. Returns the other names.
        """
        dir_fd = self._open(directory) if names else None
        if dir_fd is None:
            return names
        others = []
        try:
            for name in names:
                status = _status(dir_fd, name)
                if status is None:
                    others.append(name)
                elif stat.S_ISDIR(status.st_mode):
                    path = _join(directory, name)
                    self._hide_below(path)
                    self._renewed.add(path)
        finally:
            os.close(dir_fd)
        return others

    def _make_opaque(self, fd: int, path: bytes) -> None:
        if path not in self._hidden:
            os.setxattr(fd, self._form.opaque_xattr, b"y")
            self._hidden.add(path)
            self._recorder.opaque(path)

    def _is_hidden(self, directory: bytes) -> bool:
        """Whether nothing of the layers below is shown in a directory."""
        return any(path in self._hidden for path in _with_parents(directory))

    def _make_whiteouts(self, directory: bytes, names: Sequence[bytes]) -> None:
        dir_fd = self._open(directory)
        if dir_fd is None:
            dir_fd = self._make_directories(directory)
        try:
            before = os.fstat(dir_fd)
            for name in names:
                os.mknod(name, stat.S_IFCHR, WHITEOUT_DEVICE, dir_fd=dir_fd)
                os.utime(name, ns=(0, 0), dir_fd=dir_fd, follow_symlinks=False)
                self._recorder.whiteout(_join(directory, name))
            os.utime(dir_fd, ns=(before.st_atime_ns, before.st_mtime_ns))
        finally:
            os.close(dir_fd)

    def _make_directories(self, path: bytes) -> int:
        """Makes a directory of the layers below, for a mark of deletion in it."""
        fd = os.dup(self._root_fd)
        try:
            for directory in _with_parents(path)[::-1]:
                name = directory.rpartition(b"/")[2]
                if _status(fd, name) is None:
                    before = os.fstat(fd)
                    os.mkdir(name, 0o700, dir_fd=fd)
                    os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))
                    self._implied.append(directory)
                inner = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _inherit(self, path: bytes) -> None:
        fd = self._open(path)
        assert fd is not None
        try:
            is_new = path in self._renewed or any(
                above in self._hidden for above in _with_parents(path) if above != path
            )
            covered = None if is_new else open_merged_directory(self._parents, path)
            if covered is None:
                os.fchown(fd, 0, 0)
                os.fchmod(fd, _IMPLIED_MODE)
                os.utime(fd, ns=(0, 0))
            else:
                try:
                    copy_metadata(covered, fd)
                finally:
                    os.close(covered)
            self._recorder.directory(path, _entry(fd, path))
        finally:
            os.close(fd)

    def _locate(self, path: bytes) -> bytes | None:
        """The path, without links, of a directory of this layer, or of one that could be made in it;
        ``None`` where something else is in the way.
        """
        if path not in self._located:
            self._located[path] = self._find(path)
        return self._located[path]

    def _find(self, path: bytes) -> bytes | None:
        fd = self._open(path)
        if fd is not None:
            os.close(fd)
            return path
        try:
            fd = open_in_root(self._root_fd, path)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
        else:
            try:
                return path_below(self._root_fd, fd)
            finally:
                os.close(fd)
        parent, _, name = path.rpartition(b"/")
        above = self._locate(parent)
        if above is None:
            return None
        dir_fd = self._open(above)
        if dir_fd is not None:
            try:
                if _status(dir_fd, name) is not None:
                    return None
            finally:
                os.close(dir_fd)
        return _join(above, name)

    def _open(self, path: bytes) -> int | None:
        """Opens a directory of this layer; ``None`` where there is none, or a link on the way."""
        try:
            return open_without_links(self._root_fd, path)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise


def _entry(fd: int, path: bytes) -> Entry:
    """What an open directory is, for the record."""
    status = os.fstat(fd)
    return Entry(
        path,
        EntryType.DIRECTORY,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        xattrs=read_xattrs(fd),
    )


def _with_parents(path: bytes) -> list[bytes]:
    """A path and those of the directories it is in, up to below the root."""
    found = []
    while path:
        found.append(path)
        path = path.rpartition(b"/")[0]
    return found


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name


def _status(dir_fd: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None

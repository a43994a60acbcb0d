"""The named files that a local source is made of: those of a directory."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from typing import Protocol

from carob.errors import CorruptData, InvalidInput, NotFound, PermissionDenied, Unavailable
from carob.image.failures import translate
from carob.image.files.rooted import DIRECTORY, open_without_links
from carob.image.sources.source import BlobReader

_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Files(Protocol):
    """Files by name (``blobs/sha256/...``), read in any order and by several threads at once.

    ``what`` names the whole in errors. ``NotFound`` where there is no such file, ``CorruptData`` where it is
    something else than a file, or leads out.
    """

    what: str

    def size_bytes(self, name: str) -> int:
        """How long a file is."""

    def open(self, name: str, offset: int = 0) -> BlobReader:
        """Begins to read a file, from ``offset`` on."""

    def close(self) -> None:
        """Lets go of all; readers that are open stay so. At any time, from any thread."""


def read_file(files: Files, name: str, limit: int) -> bytes:
    """A whole file; ``CorruptData`` where it has more than ``limit`` bytes."""
    size_bytes = files.size_bytes(name)
    if size_bytes > limit:
        raise CorruptData(f"{files.what}: {name} is larger than {limit} bytes")
    reader = files.open(name)
    try:
        pieces = []
        while piece := reader.read(min(limit, 1 << 20)):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        reader.close()


def has_file(files: Files, name: str) -> bool:
    """Whether there is a file of that name."""
    try:
        files.size_bytes(name)
    except NotFound:
        return False
    return True


class FileReader:
    """Reads the bytes of an open file between two offsets, through a descriptor of its own."""

    def __init__(self, fd: int, start: int, end: int, what: str, *, offset: int = 0) -> None:
        self.offset = min(offset, end - start)
        self._position = start + self.offset
        self._end = end
        self._what = what
        self._lock = threading.Lock()  # a descriptor must not be closed while it is read from
        self._fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)

    def read(self, size: int) -> bytes:
        """See ``BlobReader``."""
        with self._lock:
            if self._fd < 0:
                raise Unavailable(f"{self._what} was closed")
            wanted = min(size, self._end - self._position)
            try:
                data = os.pread(self._fd, wanted, self._position)
            except OSError as error:
                raise translate(error, f"reading {self._what}") from error
        if wanted and not data:
            raise CorruptData(f"{self._what} became shorter while it was read")
        self._position += len(data)
        return data

    def close(self) -> None:
        """See ``BlobReader``."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)


class BytesReader:
    """A blob that is in memory."""

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self.offset = offset
        self._data = memoryview(data)[offset:]

    def read(self, size: int) -> bytes:
        """See ``BlobReader``."""
        piece, self._data = self._data[:size], self._data[size:]
        return bytes(piece)

    def close(self) -> None:
        """See ``BlobReader``."""


class DirectoryFiles:
    """The files below a directory. No link is followed there, not even one that stays inside."""

    def __init__(self, path: str) -> None:
        self.what = path
        self._lock = threading.Lock()  # a descriptor must not be closed while it is used
        self._root_fd = _open_root(path)

    def size_bytes(self, name: str) -> int:
        """See ``Files``."""
        fd = self._open(name)
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def open(self, name: str, offset: int = 0) -> BlobReader:
        """See ``Files``."""
        fd = self._open(name)
        try:
            return FileReader(fd, 0, os.fstat(fd).st_size, f"{self.what}/{name}", offset=offset)
        finally:
            os.close(fd)

    def close(self) -> None:
        """See ``Files``."""
        with self._lock:
            fd, self._root_fd = self._root_fd, -1
            if fd >= 0:
                os.close(fd)

    def _open(self, name: str) -> int:
        what = f"{self.what}/{name}"
        try:
            with self._lock:
                if self._root_fd < 0:
                    raise Unavailable(f"{self.what} was closed")
                fd = open_without_links(self._root_fd, os.fsencode(name), _FILE)
        except FileNotFoundError as error:
            raise NotFound(f"there is no {what}") from error
        except PermissionError as error:
            raise PermissionDenied(f"cannot read {what}: {error.strerror}") from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOTDIR, errno.EXDEV):
                raise CorruptData(f"{what} is not a plain file in a plain directory") from error
            raise translate(error, what) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise CorruptData(f"{what} is not a plain file")
        return fd


def _open_root(path: str) -> int:
    try:
        return os.open(path, DIRECTORY)
    except FileNotFoundError as error:
        raise NotFound(f"there is no {path}") from error
    except NotADirectoryError as error:
        raise InvalidInput(f"{path} is not a directory") from error
    except OSError as error:
        raise translate(error, path) from error

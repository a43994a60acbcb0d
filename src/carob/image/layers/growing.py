"""A blob that is read while it is still being written: by those who unpack it as it is downloaded."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from typing import Protocol


class LayerInput(Protocol):
    """The bytes of a layer's blob, in order."""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; ``b""`` only at the end of a blob that is known to be whole and right.

        Waits while there is none yet. What went wrong with the download is raised here too.
        """

    def close(self) -> None:
        """Lets go of it; a second call does nothing."""


class GrowingBlob:
    """What its one writer tells its readers."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._there_bytes = 0
        self._is_whole = False
        self._error: BaseException | None = None

    def grow(self, there_bytes: int) -> None:
        """So many bytes are in the file now."""
        with self._condition:
            self._there_bytes = there_bytes
            self._condition.notify_all()

    def finish(self) -> None:
        """All are, and they are right."""
        with self._condition:
            self._is_whole = True
            self._condition.notify_all()

    def fail(self, error: BaseException) -> None:
        """There will be no more; readers raise ``error``."""
        with self._condition:
            self._error = error
            self._condition.notify_all()

    def wait_beyond(self, offset: int) -> int:
        """Waits for bytes after ``offset``; how many there are, 0 at the end."""
        with self._condition:
            while True:
                if self._error is not None:
                    raise self._error
                if self._there_bytes > offset or self._is_whole:
                    return self._there_bytes - offset
                self._condition.wait()


class GrowingInput:
    """Reads the file ``fd`` of a growing blob, through a descriptor of its own, from its beginning.

    ``check`` is called before each read and raises where reading is to end.
    """

    def __init__(self, blob: GrowingBlob, fd: int, check: Callable[[], object]) -> None:
        self._blob = blob
        self._check = check
        self._offset = 0
        self._fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)

    def read(self, size: int) -> bytes:
        self._check()
        there_bytes = self._blob.wait_beyond(self._offset)
        data = os.pread(self._fd, min(size, there_bytes), self._offset)
        self._offset += len(data)
        return data

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class StoredInput:
    """Reads a blob that is in the store, from the open file ``fd``, which it takes over."""

    def __init__(self, fd: int, check: Callable[[], object]) -> None:
        self._fd = fd
        self._check = check

    def read(self, size: int) -> bytes:
        self._check()
        return os.read(self._fd, size)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

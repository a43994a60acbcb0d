"""Writing an archive: tar members, to an open file or pipe, or to a path that has all of it or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from carob.errors import InvalidInput
from carob.image.failures import translate
from carob.image.files.durable import sync_directory, write_all
from carob.image.tar.entry import Entry, EntryType
from carob.image.tar.writer import END_OF_ARCHIVE, encode_header, padding

PIECE_BYTES = 1 << 20


class ArchiveOutput:
    """The members of one archive, written to the open file ``fd``, which stays the caller's."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def add(self, name: str, data: bytes) -> None:
        """Adds a small file."""
        self._header(name, len(data))
        write_all(self._fd, data)
        write_all(self._fd, padding(len(data)))

    def add_from(self, name: str, size_bytes: int, pieces: Iterator[bytes]) -> None:
        """Adds a file of ``size_bytes``, which ``pieces`` give."""
        self._header(name, size_bytes)
        for piece in pieces:
            write_all(self._fd, piece)
        write_all(self._fd, padding(size_bytes))

    def add_directory(self, name: str) -> None:
        """Adds an empty directory."""
        write_all(self._fd, encode_header(Entry(path=name.encode(), type=EntryType.DIRECTORY, mode=0o755)))

    def finish(self) -> None:
        """Ends the archive."""
        write_all(self._fd, END_OF_ARCHIVE)

    def _header(self, name: str, size_bytes: int) -> None:
        entry = Entry(path=name.encode(), type=EntryType.FILE, mode=0o644, size_bytes=size_bytes)
        write_all(self._fd, encode_header(entry))


@contextmanager
def opened_output(target: str | int) -> Iterator[int]:
    """An open file to write to. A path gets what was written when the block ends well, and durably; what was
    there stays until then. A descriptor is written to as it is, and so is a path that leads to a device or a
    pipe.
    """
    if isinstance(target, int):
        yield target
        return
    path = os.path.realpath(target)
    directory, name = os.path.split(path)
    if not os.path.isdir(directory) or os.path.isdir(path):
        raise InvalidInput(f"cannot write {target}: its directory is not there, or it is one itself")
    try:
        if os.path.exists(target) and not os.path.isfile(path):
            # A device or a pipe; or /dev/stdout, where that is one, or a file without a name.
            with open(os.open(target, os.O_WRONLY | os.O_CLOEXEC), "wb", buffering=0) as file:
                yield file.fileno()
            return
        temporary = f"{directory}/.{name}.{os.urandom(4).hex()}"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                yield fd
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        sync_directory(directory)
    except OSError as error:
        raise translate(error, f"writing {target}") from error

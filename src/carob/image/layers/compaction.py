"""Taking out of a record what was removed again while its layer was unpacked.

The file is read twice, a line at a time: of a layer that names one file a million times, no more is kept in
memory than that one name.
"""

from __future__ import annotations

import os

from carob.image.files.durable import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_BYTES = 1 << 20
_FILES = frozenset((b"f", b"l", b"c", b"b", b"p"))


def compact(fd: int) -> None:
    """Rewrites the record in an open file, without lines about files that were removed again, and without
    those that say so. The file's offset is at its end then.

    A hard link to such a file keeps it: the first that is left takes its line.
    """
    end = os.lseek(fd, 0, os.SEEK_END)
    _Compaction(fd, end).append()
    size_bytes = os.lseek(fd, 0, os.SEEK_CUR) - end
    position = 0
    while position < size_bytes:
        piece = os.pread(fd, min(_PIECE_BYTES, size_bytes - position), end + position)
        position += os.pwrite(fd, piece, position)
    os.ftruncate(fd, size_bytes)
    os.lseek(fd, 0, os.SEEK_END)


class _Lost:
    """A file whose line goes, though it may have other names: where that line is, and the name it has now."""

    __slots__ = ("path", "position")

    def __init__(self, position: int, path: bytes) -> None:
        self.position = position
        self.path = path


class _Compaction:
    """Appends the lines that stay to the file, behind ``end``."""

    def __init__(self, fd: int, end: int) -> None:
        self._fd = fd
        self._end = end
        self._lost: dict[bytes, _Lost] = {}  # by the name that went
        self._voids: dict[bytes, int] = {}  # path: where the last line is that voids it
        self._void_trees: dict[bytes, int] = {}
        self._lines: list[bytes] = []
        self._waiting_bytes = 0

    def append(self) -> None:
        for position, line in self._read():
            letter, _, path, _ = _split(line)
            if letter == b"-":
                self._voids[path] = position
            elif letter == b"--":
                self._void_trees[path] = position
        for position, line in self._read():
            self._take(position, line)
        self._flush()

    def _take(self, position: int, line: bytes) -> None:
        letter, start, path, _ = _split(line)
        if letter == b"-":
            self._lost.pop(path, None)  # whatever links to this path from here on means another file
        elif letter == b"h":
            self._take_link(line, start.split(b" ")[1], path, stays=self._stays(position, path))
        elif letter != b"--":
            if position == 0 or self._stays(position, path):
                self._lost.pop(path, None)
                self._write(line)
            elif letter in _FILES:
                self._lost[path] = _Lost(position, b"")

    def _take_link(self, line: bytes, target: bytes, path: bytes, *, stays: bool) -> None:
        file = self._lost.get(target)
        if not stays:
            self._lost[path] = file or _Lost(0, target)
            return
        self._lost.pop(path, None)
        if file is None:
            self._write(line)
        elif file.path:
            self._write(b"h %s %s" % (file.path, path))
        else:
            file.path = path
            _, start, _, rest = _split(self._line_at(file.position))
            self._write(b"%s %s%s" % (start, path, rest))

    def _stays(self, position: int, path: bytes) -> bool:
        """Whether no later line voids one."""
        if self._voids.get(path, -1) > position:
            return False
        while path and self._void_trees:
            if self._void_trees.get(path, -1) > position:
                return False
            path = path.rpartition(b"/")[0]
        return True

    def _read(self) -> Iterator[tuple[int, bytes]]:
        """The lines, and where each begins."""
        position = start = 0
        rest = b""
        while position < self._end:
            piece = os.pread(self._fd, min(_PIECE_BYTES, self._end - position), position)
            position += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield start, line
                start += len(line) + 1

    def _line_at(self, position: int) -> bytes:
        line = b""
        while b"\n" not in line:
            line += os.pread(self._fd, _PIECE_BYTES, position + len(line))
        return line.partition(b"\n")[0]

    def _write(self, line: bytes) -> None:
        self._lines.append(line + b"\n")
        self._waiting_bytes += len(line)
        if self._waiting_bytes >= _PIECE_BYTES:
            self._flush()

    def _flush(self) -> None:
        write_all(self._fd, b"".join(self._lines))
        self._lines.clear()
        self._waiting_bytes = 0


def _split(line: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Its letter, all before the path, the path as it is quoted, and the attributes after it."""
    text, tab, xattrs = line.partition(b"\t")
    start, _, path = text.rpartition(b" ")
    return start.partition(b" ")[0], start, path, tab + xattrs

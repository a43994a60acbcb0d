"""Writing down what is in a layer while it is unpacked: ``record`` says how it looks."""

from __future__ import annotations

import os
from binascii import hexlify
from hashlib import sha256

from carob.image.files.durable import write_all
from carob.image.layers.record import VERSION, quoted, xattr_words
from carob.image.tar.entry import EntryType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from carob.image.files.overlay import OverlayForm
    from carob.image.tar.entry import Entry

_WAITING_LINES = 2000
_PIECE_BYTES = 1 << 20
_LETTERS = {
    EntryType.FILE: b"f",
    EntryType.SYMLINK: b"l",
    EntryType.CHARACTER_DEVICE: b"c",
    EntryType.BLOCK_DEVICE: b"b",
    EntryType.DIRECTORY: b"d",
    EntryType.FIFO: b"p",
}
_FILE_LETTERS = frozenset(_LETTERS.values()) - {b"d"}


class Recorder:
    """Writes a record to ``path``: a new one of ``form``, or more lines of one that is not finished.

    ``close`` it in any case, ``finish`` it when all is said.
    """

    __slots__ = ("_fd", "_lines")

    def __init__(self, path: str, form: OverlayForm | None) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        if form is None:
            self._fd = os.open(path, flags)
            self._lines = []
        else:
            self._fd = os.open(path, flags | os.O_CREAT | os.O_TRUNC, 0o600)
            self._lines = [b"carob layer %d %s\n" % (VERSION, form.value.encode())]

    def file(self, path: bytes, entry: Entry, digest: bytes) -> None:
        """A file with its content's digest in hexadecimal digits."""
        self._add(
            b"f %o %d %d %d %d %s %s"
            % (
                entry.mode,
                entry.uid,
                entry.gid,
                entry.mtime_ns,
                entry.real_size_bytes,
                digest,
                quoted(path),
            ),
            entry,
        )

    def directory(self, path: bytes, entry: Entry) -> None:
        """A directory as it is at the end."""
        self._add(self._begin(entry) + quoted(path or b"."), entry)

    def special(self, path: bytes, entry: Entry) -> None:
        """A link, device or fifo."""
        line = self._begin(entry)
        if entry.type is EntryType.SYMLINK:
            line += quoted(entry.link_target) + b" "
        elif entry.type is not EntryType.FIFO:
            line += b"%d:%d " % (entry.device_major, entry.device_minor)
        self._add(line + quoted(path), entry)

    def hard_link(self, target: bytes, path: bytes) -> None:
        """One more name of the file ``target``."""
        self._add(b"h %s %s" % (quoted(target), quoted(path)))

    def whiteout(self, path: bytes) -> None:
        """A mark that a file is deleted."""
        self._add(b"w " + quoted(path))

    def opaque(self, path: bytes) -> None:
        """A mark that a directory hides those below."""
        self._add(b"o " + quoted(path or b"."))

    def left_out(self, path: bytes, entry: Entry) -> None:
        """A device that could not be made."""
        self._add(b"n %s %s" % (_LETTERS[entry.type], quoted(path)))

    def void(self, path: bytes) -> None:
        """A file was removed again."""
        self._add(b"- " + quoted(path))

    def void_tree(self, path: bytes) -> None:
        """A directory was removed again, with all that was in it."""
        self._add(b"-- " + quoted(path))

    def finish(self) -> None:
        """Writes the last line. Making the record durable is the caller's affair."""
        self.flush()
        content, count, position, has_void = sha256(), 0, 0, False
        while piece := os.pread(self._fd, _PIECE_BYTES, position):
            content.update(piece)
            count += piece.count(b"\n")
            position += len(piece)
            has_void = has_void or b"\n-" in piece or piece.startswith(b"-")
        if has_void:
            first, *others = b"".join(self._pieces()).split(b"\n")[:-1]
            lines = [line + b"\n" for line in (first, *compacted(others))]
            content, count = sha256(b"".join(lines)), len(lines)
            os.ftruncate(self._fd, 0)
            write_all(self._fd, b"".join(lines))
        write_all(self._fd, b"end %d %s\n" % (count, hexlify(content.digest())))

    def _pieces(self) -> Iterator[bytes]:
        position = 0
        while piece := os.pread(self._fd, _PIECE_BYTES, position):
            yield piece
            position += len(piece)

    def flush(self) -> None:
        """Writes the lines that wait to the file."""
        write_all(self._fd, b"".join(self._lines))
        self._lines.clear()

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @staticmethod
    def _begin(entry: Entry) -> bytes:
        return b"%s %o %d %d %d " % (
            _LETTERS[entry.type],
            entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime_ns,
        )

    def _add(self, line: bytes, entry: Entry | None = None) -> None:
        if entry is not None and entry.xattrs:
            line += b"\t" + xattr_words(entry.xattrs)
        self._lines.append(line + b"\n")
        if len(self._lines) >= _WAITING_LINES:
            self.flush()


def compacted(lines: Sequence[bytes]) -> list[bytes]:
    """Lines without those about files that were removed again, and without those that say so.

    A hard link to such a file keeps it: the first that is left takes its line.
    """
    is_kept = _kept(lines)
    files: dict[bytes, list[bytes]] = {}  # by path: the words of a file's line, and the path that has it
    found = []
    for line, stays in zip(lines, is_kept, strict=True):
        letter, start, path, rest = split_line(line)
        if letter == b"h":
            target = start.split(b" ")[1]
            file = files[path] = files[target]
            if not stays:
                continue
            if file[2]:
                found.append(b"h %s %s" % (file[2], path))
                continue
            start, rest = file[0], file[1]
            file[2] = path
        elif letter in _FILE_LETTERS:
            files[path] = [start, rest, path if stays else b""]
        if stays:
            found.append(b"%s %s%s" % (start, path, rest))
    return found


def _kept(lines: Sequence[bytes]) -> bytearray:
    """For each line whether no later one voids it; 0 for those that void others."""
    flags = bytearray(len(lines))
    void: set[bytes] = set()
    void_trees: set[bytes] = set()
    for position in range(len(lines) - 1, -1, -1):
        letter, _, path, _ = split_line(lines[position])
        if letter == b"-":
            void.add(path)
        elif letter == b"--":
            void_trees.add(path)
        else:
            flags[position] = path not in void and not _is_in(path, void_trees)
    return flags


def _is_in(path: bytes, trees: set[bytes]) -> bool:
    while path and trees:
        if path in trees:
            return True
        path = path.rpartition(b"/")[0]
    return False


def split_line(line: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Its letter, all before the path, the path as it is quoted, and the attributes after it."""
    text, tab, xattrs = line.partition(b"\t")
    start, _, path = text.rpartition(b" ")
    return start.partition(b" ")[0], start, path, tab + xattrs

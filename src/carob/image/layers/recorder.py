"""Writing down what is in a layer while it is unpacked: ``record`` says how it looks."""

from __future__ import annotations

import os
from binascii import hexlify
from hashlib import sha256

from carob.image.files.durable import write_all
from carob.image.layers.compaction import compact
from carob.image.layers.record import VERSION, quoted, xattr_words
from carob.image.tar.entry import EntryType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.files.overlay import OverlayForm
    from carob.image.tar.entry import Entry

_WAITING_BYTES = 1 << 18
_PIECE_BYTES = 1 << 20
_LETTERS = {
    EntryType.FILE: b"f",
    EntryType.SYMLINK: b"l",
    EntryType.CHARACTER_DEVICE: b"c",
    EntryType.BLOCK_DEVICE: b"b",
    EntryType.DIRECTORY: b"d",
    EntryType.FIFO: b"p",
}


class Recorder:
    """Writes a record to ``path``: a new one of ``form``, or more lines of one that is not finished.

    ``close`` it in any case, ``finish`` it when all is said.
    """

    __slots__ = ("_fd", "_lines", "_waiting_bytes")

    def __init__(self, path: str, form: OverlayForm | None) -> None:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        self._waiting_bytes = 0
        if form is None:
            self._fd = os.open(path, flags)
            self._lines = []
            os.lseek(self._fd, 0, os.SEEK_END)
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

    def left_out(self, path: bytes, kind: EntryType) -> None:
        """A device that could not be made."""
        self._add(b"n %s %s" % (_LETTERS[kind], quoted(path)))

    def void(self, path: bytes) -> None:
        """A file was removed again."""
        self._add(b"- " + quoted(path))

    def void_tree(self, path: bytes) -> None:
        """A directory was removed again, with all that was in it."""
        self._add(b"-- " + quoted(path))

    def finish(self) -> None:
        """Writes the last line. Making the record durable is the caller's affair."""
        self.flush()
        count, digest, has_void = self._summary()
        if has_void:
            compact(self._fd)
            count, digest, _ = self._summary()
        write_all(self._fd, b"end %d %s\n" % (count, hexlify(digest)))

    def _summary(self) -> tuple[int, bytes, bool]:
        """How many lines are in the file, their digest, and whether some of them void others."""
        content, count, position, has_void = sha256(), 0, 0, False
        while piece := os.pread(self._fd, _PIECE_BYTES, position):
            content.update(piece)
            count += piece.count(b"\n")
            position += len(piece)
            has_void = has_void or b"\n-" in piece or piece.startswith(b"-")
        return count, content.digest(), has_void

    def flush(self) -> None:
        """Writes the lines that wait to the file."""
        write_all(self._fd, b"".join(self._lines))
        self._lines.clear()
        self._waiting_bytes = 0

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
        self._waiting_bytes += len(line)
        if self._waiting_bytes >= _WAITING_BYTES:
            self.flush()

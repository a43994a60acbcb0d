"""Comparing a layer with its record."""

from __future__ import annotations

import errno
import os
import stat
from binascii import hexlify
from hashlib import sha256

from carob.errors import CorruptData, NotFound
from carob.image.files.metadata import read_xattrs
from carob.image.files.overlay import is_opaque, is_whiteout
from carob.image.files.paths import shown
from carob.image.files.rooted import DIRECTORY, open_without_links
from carob.image.layers.record import quoted, read_record, unquoted, xattr_words

_TYPES = {
    b"f": stat.S_IFREG,
    b"l": stat.S_IFLNK,
    b"c": stat.S_IFCHR,
    b"b": stat.S_IFBLK,
    b"p": stat.S_IFIFO,
    b"d": stat.S_IFDIR,
}
_PROBLEMS = 100
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOATIME
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def check_tree(layer: str, record: str) -> list[str]:
    """Compares the layer at one path with its record at another: what is wrong, a line each, at most a
    hundred. ``NotFound`` where either is not there; ``Unsupported`` for a record of another version;
    ``OSError`` where the layer cannot be read.
    """
    try:
        root_fd = os.open(layer, DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise NotFound(f"there is no layer {layer}") from error
    try:
        with TreeCheck(root_fd) as check:
            try:
                for line in read_record(record):
                    check.apply(line)
            except FileNotFoundError as error:
                raise NotFound(f"the layer {layer} has no record", hint="fetch the image again") from error
            except CorruptData as error:
                return [error.message]
            check.finish()
            return check.problems
    finally:
        os.close(root_fd)


class TreeCheck:
    """Takes the lines of a record one by one; ``problems`` are what does not fit, at most a hundred.

    To be used with ``with``.
    """

    def __init__(self, root_fd: int) -> None:
        self.problems: list[str] = []
        self._root_fd = root_fd
        self._directory = b""
        self._directory_fd = root_fd
        self._paths: set[int] = set()  # hashes of all paths that were named: a million are 60 MB
        self._opaque: set[bytes] = set()
        self._found_opaque: set[bytes] = set()
        self._buffer = bytearray(1 << 18)

    def __enter__(self) -> TreeCheck:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_directory()

    def apply(self, line: bytes) -> None:
        """Looks at what a line tells of."""
        text, _, xattrs = line.partition(b"\t")
        words = text.split(b" ")
        path = unquoted(words[-1])
        if words[0] == b"o":
            self._opaque.add(path)
        elif words[0] != b"n":
            self._paths.add(hash(path))
            try:
                self._look(words, path, xattrs)
            except OSError as error:
                if error.errno not in _NOT_THERE:
                    raise
                self._note(path, "is missing")

    def finish(self) -> None:
        """Looks for what no line told of, after the last one."""
        for path in sorted(self._opaque ^ self._found_opaque):
            self._note(path, "is not opaque" if path in self._opaque else "is opaque")
        waiting = [b""]
        while waiting and len(self.problems) < _PROBLEMS:
            directory = waiting.pop()
            fd = open_without_links(self._root_fd, directory)
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        name = os.fsencode(entry.name)
                        path = directory + b"/" + name if directory else name
                        if hash(path) not in self._paths:
                            self._note(path, "should not be there")
                        elif entry.is_dir(follow_symlinks=False):
                            waiting.append(path)
            finally:
                os.close(fd)

    def _look(self, words: list[bytes], path: bytes, xattrs: bytes) -> None:
        parent, _, name = path.rpartition(b"/")
        dir_fd = self._open(parent)
        letter = words[0]
        if letter in (b"f", b"d"):
            fd = os.open(name, _FILE if letter == b"f" else DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)
            try:
                self._compare(path, words, os.fstat(fd), xattr_words(read_xattrs(fd)), xattrs)
                if letter == b"d" and is_opaque(fd):
                    self._found_opaque.add(path)
                if letter == b"f" and stat.S_ISREG(os.fstat(fd).st_mode) and self._digest(fd) != words[6]:
                    self._note(path, "has another content")
            finally:
                os.close(fd)
            return
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if letter == b"w":
            if not is_whiteout(status):
                self._note(path, "is not a whiteout")
        elif letter == b"h":
            self._compare_link(path, unquoted(words[1]), status)
        else:
            found = xattr_words(read_xattrs(b"/proc/self/fd/%d/%s" % (dir_fd, name)))
            self._compare(path, words, status, found, xattrs)
            if letter == b"l" and quoted(os.readlink(name, dir_fd=dir_fd)) != words[5]:
                self._note(path, "links to something else")
            device = b"%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev))
            if letter in (b"c", b"b") and device != words[5]:
                self._note(path, "is another device")

    def _compare(
        self, path: bytes, words: list[bytes], status: os.stat_result, found: bytes, xattrs: bytes
    ) -> None:
        if stat.S_IFMT(status.st_mode) != _TYPES[words[0]]:
            self._note(path, "is of another type")
            return
        actual = [b"%o" % stat.S_IMODE(status.st_mode), b"%d" % status.st_uid, b"%d" % status.st_gid]
        actual.append(b"%d" % status.st_mtime_ns)
        names = ("mode", "owner", "group", "time", "size")
        if words[0] == b"f":
            actual.append(b"%d" % status.st_size)
        for what, wanted, there in zip(names, words[1:], actual, strict=False):
            if wanted != there:
                self._note(path, f"{what} {wanted.decode()} is {there.decode()}")
        if found != xattrs:
            self._note(path, "has other extended attributes")

    def _compare_link(self, path: bytes, target: bytes, status: os.stat_result) -> None:
        parent, _, name = target.rpartition(b"/")
        fd = open_without_links(self._root_fd, parent)
        try:
            first = os.stat(name, dir_fd=fd, follow_symlinks=False)
        finally:
            os.close(fd)
        if (first.st_dev, first.st_ino) != (status.st_dev, status.st_ino):
            self._note(path, f"is no hard link to {shown(target)}")

    def _digest(self, fd: int) -> bytes:
        content = sha256()
        view = memoryview(self._buffer)
        while count := os.readv(fd, [self._buffer]):
            content.update(view[:count])
        return hexlify(content.digest())

    def _open(self, directory: bytes) -> int:
        if directory != self._directory:
            fd = open_without_links(self._root_fd, directory)
            self._close_directory()
            self._directory, self._directory_fd = directory, fd
        return self._directory_fd

    def _close_directory(self) -> None:
        if self._directory_fd != self._root_fd:
            os.close(self._directory_fd)
        self._directory, self._directory_fd = b"", self._root_fd

    def _note(self, path: bytes, problem: str) -> None:
        if len(self.problems) < _PROBLEMS:
            self.problems.append(f"{shown(path)} {problem}")

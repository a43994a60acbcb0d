"""What goes where: the rules of cp, docker and podman.

- A file goes to the name that is given or, where that is a directory, into it under its own name.
- A directory goes into a directory that is there, and else becomes the one that is named.
- ``DIRECTORY/.`` is what is in it.
- A link is copied as a link, unless links are followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from carob.errors import InvalidInput, NotFound
from carob.image.files.rooted import DIRECTORY, open_in_root

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[[bytes, int], int]

_MOST_LINKS = 40


class Files:
    """The files that paths lead to: an app's, by its open root, or the caller's; ``who`` is for errors."""

    __slots__ = ("_root_fd", "_who")

    def __init__(self, root_fd: int | None, who: str) -> None:
        self._root_fd = root_fd
        self._who = who

    def open(self, path: bytes, flags: int = DIRECTORY) -> int:
        """Opens a path; one of an app's as the app would, and never outside of its root."""
        if self._root_fd is None:
            return os.open(path or b".", flags | os.O_CLOEXEC)
        return open_in_root(self._root_fd, path.lstrip(b"/"), flags)

    def missing(self, path: bytes) -> NotFound:
        """The error for what is not there."""
        return NotFound(f"there is no {shown(path)} {self._who}")


class Source:
    """What is copied: ``name`` in the open directory ``dir_fd``; ``own_name`` is what it is called.

    ``is_directory``, ``is_device``; ``contents`` says that only what is in it is meant.
    """

    __slots__ = ("contents", "dir_fd", "is_device", "is_directory", "name", "own_name")

    def __init__(self, dir_fd: int, name: bytes, own_name: bytes, *, contents: bool) -> None:
        self.dir_fd = dir_fd
        self.name = name
        self.own_name = own_name
        mode = os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode
        self.is_directory = stat.S_ISDIR(mode)
        self.is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
        self.contents = contents and self.is_directory


@contextmanager
def source(files: Files, path: bytes, *, follow_links: bool) -> Iterator[Source]:
    """Finds what is to be copied. Raises ``NotFound``."""
    directory, name, contents = _split(path)
    opened = -1
    try:
        if name and follow_links:
            directory, name = _followed(files, directory, name)
        opened = files.open(directory)
        found = Source(opened, name or b".", name or _last(directory), contents=contents or not name)
        if path.endswith(b"/") and not found.is_directory:
            raise NotADirectoryError
        yield found
    except FileNotFoundError as error:
        raise files.missing(path) from error
    except NotADirectoryError as error:
        raise InvalidInput(f"{shown(path)} is no directory, or leads through what is none") from error
    finally:
        if opened >= 0:
            os.close(opened)


def _split(path: bytes) -> tuple[bytes, bytes, bool]:
    """The directory, the name in it, and whether ``/.`` follows; no name for a path that ends in ``..``."""
    bare = path.rstrip(b"/")
    contents = False
    while bare == b"." or bare.endswith(b"/."):
        contents = True
        bare = bare[:-1].rstrip(b"/")
    directory, slash, name = bare.rpartition(b"/")
    if name in (b"", b".."):
        return bare or (b"/" if path.startswith(b"/") else b"."), b"", True
    return directory or slash, name, contents


def _last(directory: bytes) -> bytes:
    name = directory.rstrip(b"/").rpartition(b"/")[2]
    return b"" if name in (b".", b"..") else name


def _followed(files: Files, directory: bytes, name: bytes) -> tuple[bytes, bytes]:
    """Where the last part of a path leads, link after link."""
    for _ in range(_MOST_LINKS):
        opened = files.open(directory)
        try:
            if not stat.S_ISLNK(os.stat(name, dir_fd=opened, follow_symlinks=False).st_mode):
                return directory, name
            target = os.readlink(name, dir_fd=opened)
        finally:
            os.close(opened)
        path = target if target.startswith(b"/") else os.path.join(directory, target)
        directory, name, _ = _split(path)
        if not name:
            return directory, name
    raise InvalidInput(f"{shown(name)} leads through more than {_MOST_LINKS} links")


@contextmanager
def target(files: Files, path: bytes, copied: Source | None) -> Iterator[tuple[int, bytes]]:
    """Finds where it goes: an open directory, and the name in it; no name where that takes all as it is.

    ``copied`` is ``None`` for a tar, which goes into a directory that is there.
    """
    opened, name = _target(files, path, copied)
    try:
        yield opened, name
    finally:
        os.close(opened)


def _target(files: Files, path: bytes, copied: Source | None) -> tuple[int, bytes]:
    try:
        opened = files.open(path)
    except FileNotFoundError:
        return _new(files, path, copied)
    except NotADirectoryError as error:
        if copied is None or copied.is_directory or path.endswith(b"/"):
            raise InvalidInput(f"{shown(path)} is no directory, or leads through what is none") from error
        return _new(files, path, copied)
    return opened, b"" if copied is None or copied.contents else copied.own_name


def _new(files: Files, path: bytes, copied: Source | None) -> tuple[int, bytes]:
    directory, name, _ = _split(path)
    if copied is None or not name or (path.endswith(b"/") and not copied.is_directory):
        raise files.missing(path)
    try:
        return files.open(directory), name
    except (FileNotFoundError, NotADirectoryError) as error:
        raise files.missing(directory) from error


def shown(path: bytes) -> str:
    """A path in an error's words."""
    return repr(os.fsdecode(path))

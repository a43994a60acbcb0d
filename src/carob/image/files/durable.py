"""Writes that survive a power loss: temporary file, fsync, rename, fsync of the parent."""

from __future__ import annotations

import os


def make_directory(path: str, *, mode: int = 0o755) -> None:
    """Makes a directory and those above it that are missing, each durably; one that is there stays."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and parent != path:
        make_directory(parent)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    sync_directory(parent or ".")


def sync_directory(path: str) -> None:
    """Writes a directory's entries back (fsync(2))."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: str, data: bytes, *, temporary: str) -> None:
    """Puts ``data`` at ``path`` as a whole: readers see the old file or the new one, also after a crash.

    ``temporary`` is a path in the same file system that is this caller's own; what is there is replaced.
    """
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    sync_directory(os.path.dirname(path))


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Writes all of ``data``, however the kernel cuts it."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]

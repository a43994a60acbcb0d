"""How overlayfs marks deletions in a layer, and how stacked layers are looked through.

A file deleted from the layers below is a character device 0/0 of its name; a directory that hides those
below has the extended attribute ``trusted.overlay.opaque=y`` (kernel, filesystems/overlayfs.rst).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from carob.image.rooted import DIRECTORY

OPAQUE_XATTR = "trusted.overlay.opaque"
RESERVED_XATTRS = ("trusted.overlay.", "user.overlay.")
"""Prefixes of what overlayfs keeps for itself: from an archive they would forge its structures."""

WHITEOUT_DEVICE = os.makedev(0, 0)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether a file is overlay's mark of a deletion."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == WHITEOUT_DEVICE


def is_opaque(fd: int) -> bool:
    """Whether an open directory hides the directories below it."""
    try:
        return os.getxattr(fd, OPAQUE_XATTR) == b"y"
    except OSError:
        return False


def open_merged_directory(layers: Sequence[str], path: bytes) -> int | None:
    """Opens the topmost directory that gives ``path`` its owner, mode and times in the stacked ``layers``
    (top first); ``None`` where the stack shows no directory there.
    """
    directories = _open_merged(layers, path)
    _close_all(directories[1:])
    return directories[0] if directories else None


def is_shown(layers: Sequence[str], parent: bytes, name: bytes) -> bool:
    """Whether the stacked ``layers`` (top first) show a file ``name`` in the directory ``parent``."""
    directories = _open_merged(layers, parent)
    try:
        for fd in directories:
            try:
                return not is_whiteout(os.stat(name, dir_fd=fd, follow_symlinks=False))
            except FileNotFoundError:
                continue
        return False
    finally:
        _close_all(directories)


def _open_merged(layers: Sequence[str], path: bytes) -> list[int]:
    """Opens the directories that are merged into ``path``, top first; none where there is none."""
    directories = [os.open(layer, DIRECTORY) for layer in layers]
    try:
        for name in path.split(b"/") if path else ():
            inner = _descend(directories, name)
            _close_all(directories)
            directories = inner
    except BaseException:
        _close_all(directories)
        raise
    return directories


def _descend(directories: Sequence[int], name: bytes) -> list[int]:
    """Opens the directories ``name`` of ``directories`` that are merged, top first."""
    found: list[int] = []
    try:
        for fd in directories:
            try:
                inner = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            except FileNotFoundError:
                continue
            except NotADirectoryError:  # a whiteout, a file or a link ends the search
                break
            found.append(inner)
            if is_opaque(inner):
                break
    except BaseException:
        _close_all(found)
        raise
    return found


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)

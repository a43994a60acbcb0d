"""How overlayfs marks deletions in a layer, and how stacked layers are looked through.

A file deleted from the layers below is a character device 0/0 of its name, which since Linux 5.8 needs no
privilege; a directory that hides those below has an extended attribute ``opaque=y``: ``trusted.overlay`` for
mounts that root makes, ``user.overlay`` for those made in a user namespace, with the option ``userxattr``
(kernel, filesystems/overlayfs.rst).
"""

from __future__ import annotations

import enum
import os
import stat

from carob.image.files.rooted import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

RESERVED_XATTRS = ("trusted.overlay.", "user.overlay.")
"""Prefixes of what overlayfs keeps for itself: from an archive they would forge its structures."""

WHITEOUT_DEVICE = os.makedev(0, 0)


class OverlayForm(enum.Enum):
    """Where the attributes of overlayfs are; the layers of one stack all have the same form."""

    TRUSTED = "trusted"
    USER = "user"

    @property
    def opaque_xattr(self) -> str:
        """The extended attribute of a directory that hides those below it."""
        return f"{self.value}.overlay.opaque"


_OPAQUE_XATTRS = tuple(form.opaque_xattr for form in OverlayForm)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether a file is overlay's mark of a deletion."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == WHITEOUT_DEVICE


def is_opaque(fd: int) -> bool:
    """Whether an open directory hides the directories below it, in whichever form."""
    for name in _OPAQUE_XATTRS:
        try:
            if os.getxattr(fd, name) == b"y":
                return True
        except OSError:
            continue
    return False


def open_merged_directory(layers: Sequence[str], path: bytes) -> int | None:
    """Opens the topmost directory that gives ``path`` its owner, mode and times in the stacked ``layers``
    (top first); ``None`` where the stack shows no directory there.
    """
    directories = open_merged(layers, path)
    close_all(directories[1:])
    return directories[0] if directories else None


def is_shown_in(directories: Sequence[int], name: bytes) -> bool:
    """Whether the merged ``directories`` (top first) show a file ``name``."""
    for fd in directories:
        try:
            return not is_whiteout(os.stat(name, dir_fd=fd, follow_symlinks=False))
        except FileNotFoundError:
            continue
    return False


def open_merged(layers: Sequence[str], path: bytes) -> list[int]:
    """Opens the directories that are merged into ``path``, top first; none where there is none."""
    directories: list[int] = []
    try:
        for layer in layers:
            directories.append(os.open(layer, DIRECTORY))
        for name in path.split(b"/") if path else ():
            inner = _descend(directories, name)
            close_all(directories)
            directories = inner
    except BaseException:
        close_all(directories)
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
        close_all(found)
        raise
    return found


def close_all(fds: Sequence[int]) -> None:
    """Closes descriptors."""
    for fd in fds:
        os.close(fd)

"""Finding a directory in stacked layers by a path that may lead through symbolic links.

A link, absolute or with ``..``, stays inside, as in a chroot: the top of the stack is its root.
"""

from __future__ import annotations

import errno
import os
import stat

from carob.image.files.overlay import close_all, is_whiteout, open_merged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_LINKS = 40


def directories_at(layers: Sequence[str], path: str) -> list[str]:
    """The directories, absolute paths, that overlayfs would merge at ``path`` of ``layers`` (top first).

    None where nothing, or something else, is there. Raises ``OSError``: ELOOP for links in a circle.
    """
    opened = open_merged(layers, without_links(layers, os.fsencode(path)))
    try:
        return [os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in opened]
    finally:
        close_all(opened)


def without_links(layers: Sequence[str], path: bytes) -> bytes:
    """The path, relative to the top, with every link on it followed; what is not there stays as written.

    Raises ``OSError``: ELOOP for links in a circle.
    """
    waiting = path.split(b"/")[::-1]
    found: list[bytes] = []
    links = 0
    while waiting:
        name = waiting.pop()
        if name == b"..":
            del found[-1:]
        elif name not in (b"", b"."):
            link = _link(layers, found, name)
            if link is None:
                found.append(name)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if link.startswith(b"/"):
                found = []
            waiting += link.split(b"/")[::-1]
    return b"/".join(found)


def _link(layers: Sequence[str], above: list[bytes], name: bytes) -> bytes | None:
    """Where the link ``name`` leads that the stack shows in a directory; ``None`` where that is no link."""
    directories = open_merged(layers, b"/".join(above))
    try:
        for descriptor in directories:
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if is_whiteout(status) or not stat.S_ISLNK(status.st_mode):
                return None
            return os.readlink(name, dir_fd=descriptor)
    finally:
        close_all(directories)
    return None

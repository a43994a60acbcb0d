"""User namespaces, and mounts that show a tree with their owners (mount_setattr(2), MOUNT_ATTR_IDMAP).

One tree on disk serves pods with any mapping: each sees it through idmapped copies of its mounts. Linux 5.12
for ext4, 5.15 for btrfs, 5.19 for overlays over them, 6.3 for tmpfs.
"""

from __future__ import annotations

import os

from carob.linux import mount, namespaces
from carob.linux import syscall as _sys
from carob.linux.files import write_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Range = tuple[int, int, int]
    """First inside, first outside, how many."""

_MOUNT_ATTR_IDMAP = 0x00100000


def map_lines(ranges: Sequence[Range]) -> bytes:
    """Ranges of owners as ``/proc/<pid>/uid_map`` takes them (user_namespaces(7))."""
    return b"".join(b"%d %d %d\n" % one for one in ranges)


def new_user_namespace(uids: Sequence[Range], gids: Sequence[Range]) -> int:
    """The descriptor of a new user namespace with these mappings, which no process is in.

    For processes of one thread only, and for those that may map these owners (root). Raises ``OSError``.
    """
    gate, opened = os.pipe2(os.O_CLOEXEC)
    pid, pidfd = namespaces.fork_into(namespaces.CLONE_NEWUSER)
    if pid == 0:
        try:
            os.close(opened)
            os.read(gate, 1)
        finally:
            os._exit(0)
    try:
        os.close(gate)
        write_once(f"/proc/{pid}/uid_map", map_lines(uids))
        write_once(f"/proc/{pid}/gid_map", map_lines(gids))
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(opened)
        os.close(pidfd)
        os.waitpid(pid, 0)


def clone_idmapped(path: str, user_namespace: int) -> int:
    """The descriptor of a detached copy of the mount that shows ``path``, its owners mapped: who is 0 on disk
    is who is 0 in ``user_namespace``. EINVAL where the file system cannot.
    """
    fd = mount.clone_tree(path)
    try:
        structure = _sys.pointer_struct((_MOUNT_ATTR_IDMAP, 0, 0, user_namespace))
        _sys.syscall(
            _sys.SYS_MOUNT_SETATTR, fd, "", mount.AT_EMPTY_PATH, structure, len(structure), path=path
        )
    except BaseException:
        os.close(fd)
        raise
    return fd


def overlay_idmapped(
    lower_dirs: Sequence[str], user_namespace: int, upper: str, work: str, attributes: int = 0
) -> int:
    """Like ``mount.overlay``, with the layers' owners mapped; ``upper`` and ``work`` have the owners that the
    namespace has outside. Linux 6.5 for ``lowerdir+``, 6.15 for layers that are mounted nowhere.
    """
    opened: list[int] = []
    try:
        for path in lower_dirs:
            opened.append(clone_idmapped(path, user_namespace))
        for path in (upper, work):
            opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        *lower, upper_name, work_name = [f"/proc/self/fd/{descriptor}" for descriptor in opened]
        options: list[tuple[str, str | None]] = [("lowerdir+", name) for name in lower]
        options += [("upperdir", upper_name), ("workdir", work_name)]
        return mount.new("overlay", options, attributes, "carob")
    finally:
        for descriptor in opened:
            os.close(descriptor)

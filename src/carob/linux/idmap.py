"""User namespaces, and mounts that show a tree with their owners (mount_setattr(2), MOUNT_ATTR_IDMAP).

One tree on disk serves pods with any mapping: each sees it through idmapped copies of its mounts. Linux 5.12
for ext4, 5.15 for btrfs, 5.19 for overlays over them, 6.3 for tmpfs.
"""

from __future__ import annotations

import errno
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
    return b"".join(b"%d %d %d\n" % tuple(one) for one in ranges)


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


class Mapping:
    """An open user namespace, and whom it maps: how the files of its pod get their owners."""

    __slots__ = ("descriptor", "gids", "uids")

    def __init__(self, descriptor: int, uids: Sequence[Range], gids: Sequence[Range]) -> None:
        self.descriptor = descriptor
        self.uids = uids
        self.gids = gids

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """Who that is on the host. Raises ``OSError`` for owners that the namespace has not got."""
        return _outside(uid, self.uids, "user"), _outside(gid, self.gids, "group")

    def show(self, mount_fd: int, what: str, *, recursive: bool = False) -> None:
        """Maps the owners that a mount shows which is attached nowhere yet: who is 0 on disk is who is 0 in
        the namespace. ``OSError`` names ``what``, where its file system cannot.
        """
        structure = _sys.pointer_struct((_MOUNT_ATTR_IDMAP, 0, 0, self.descriptor))
        flags = mount.AT_EMPTY_PATH | (mount.AT_RECURSIVE if recursive else 0)
        try:
            _sys.syscall(_sys.SYS_MOUNT_SETATTR, mount_fd, "", flags, structure, len(structure), path=what)
        except OSError as error:
            if error.errno == errno.EINVAL:
                error.strerror = "its file system cannot map owners (idmapped mounts)"
            raise

    def clone(self, path: str) -> int:
        """The descriptor of a detached copy of the mount that shows ``path``, its owners mapped."""
        descriptor = mount.clone_tree(path)
        try:
            self.show(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _outside(number: int, ranges: Sequence[Range], what: str) -> int:
    for inside, outside, count in ranges:
        if inside <= number < inside + count:
            return outside + number - inside
    raise OSError(errno.EOVERFLOW, f"the pod's user namespace has no {what} {number}")

"""Owner, mode, extended attributes and times of files: setting what an archive says, and reading."""

from __future__ import annotations

import errno
import os
import stat

from carob.errors import CorruptData, OutOfResources, Unsupported
from carob.image.files.overlay import RESERVED_XATTRS
from carob.image.tar.entry import EntryType
from carob.image.tar.limits import LIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carob.image.tar.entry import Entry
    from carob.image.tar.limits import UnpackLimits

_NAMESPACES = ("security.", "trusted.", "user.", "system.")
_HOST_LABELS = frozenset(("security.selinux", "system.nfs4_acl"))
"""Labels of the host that wrote the archive: they mean nothing, or something else, on this one."""

_ACLS = frozenset(("system.posix_acl_access", "system.posix_acl_default"))
_REQUIRED = _ACLS | {"security.capability"}
"""Attributes that decide about access: a file without them would not be the file of the archive."""

_PLAIN_TIMES_NS = (1 << 31) * 1_000_000_000
_SECOND_NS = 1_000_000_000


def check_xattrs(entry: Entry, what: str, limits: UnpackLimits = LIMITS) -> None:
    """Refuses extended attributes that overlayfs would take for its own, names that are none, and more or
    longer ones than ``limits`` allow.
    """
    if len(entry.xattrs) > limits.xattrs:
        raise CorruptData(f"{what}: more than {limits.xattrs} extended attributes")
    for name, value in entry.xattrs.items():
        if name.startswith(RESERVED_XATTRS):
            raise CorruptData(f"{what}: the extended attribute {name[:100]!r} is overlayfs's own")
        if not name or "\0" in name:
            raise CorruptData(f"{what}: an extended attribute without a name, or with a NUL in it")
        if len(value) > limits.xattr_bytes:
            raise CorruptData(f"{what}: {len(value)} bytes in the extended attribute {name[:100]!r}")


class MetadataWriter:
    """Gives new files what their entries say, with as few system calls as will do.

    ``own`` are the owner and group that files get when this process makes them: who has these anyway is not
    changed. With ``keeps_owners`` false nobody is. Afterwards the entry says what the file really has:
    times that the file system could keep, the attributes that were set.
    """

    __slots__ = ("_keeps_owners", "_own")

    def __init__(self, own: tuple[int, int], *, keeps_owners: bool) -> None:
        self._own = own
        self._keeps_owners = keeps_owners

    def set_open(self, fd: int, entry: Entry, made_with: int = -1) -> None:
        """Sets everything on an open file or directory, whose mode is ``made_with`` if it is known."""
        if (entry.uid, entry.gid) != self._own:
            self._set_owner(entry, lambda: os.fchown(fd, entry.uid, entry.gid))
        if entry.mode != made_with:
            os.fchmod(fd, entry.mode)  # after the owner: chown(2) clears the set-id bits
        if entry.xattrs:
            entry.xattrs = _set_xattrs(fd, entry.xattrs)  # and it removes capabilities
            if not _ACLS.isdisjoint(entry.xattrs):  # one that says no more than the mode is that mode
                entry.mode = stat.S_IMODE(os.fstat(fd).st_mode)
                entry.xattrs = read_xattrs(fd)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        if _may_be_cut(entry.mtime_ns):
            entry.mtime_ns = os.fstat(fd).st_mtime_ns

    def set_named(self, dir_fd: int, name: bytes, entry: Entry) -> None:
        """Sets everything on a link, device or fifo, which cannot be opened; a link is not followed."""
        if (entry.uid, entry.gid) != self._own:
            self._set_owner(
                entry, lambda: os.chown(name, entry.uid, entry.gid, dir_fd=dir_fd, follow_symlinks=False)
            )
        if entry.type is EntryType.SYMLINK:
            entry.mode = 0o777  # as Linux has it, whatever the archive says
        else:
            os.chmod(name, entry.mode, dir_fd=dir_fd)
        if entry.xattrs:
            path = b"/proc/self/fd/%d/%s" % (dir_fd, name)
            entry.xattrs = _set_xattrs(path, entry.xattrs)
            if not _ACLS.isdisjoint(entry.xattrs):
                entry.mode = stat.S_IMODE(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
                entry.xattrs = read_xattrs(path)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=dir_fd, follow_symlinks=False)
        if _may_be_cut(entry.mtime_ns):
            entry.mtime_ns = os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mtime_ns

    def _set_owner(self, entry: Entry, change: Callable[[], None]) -> None:
        if not self._keeps_owners:
            entry.uid, entry.gid = self._own
            return
        try:
            change()
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise Unsupported(
                f"the owner {entry.uid}:{entry.gid} is not mapped into this user namespace",
                hint="give the user more owners in /etc/subuid and /etc/subgid, or unpack as root",
            ) from error


def _may_be_cut(time_ns: int) -> bool:
    """Whether a file system may keep another time: there are some of whole seconds, or that end in 2038."""
    return bool(time_ns % _SECOND_NS) or not 0 <= time_ns < _PLAIN_TIMES_NS


def _set_xattrs(target: int | bytes, xattrs: Mapping[str, bytes]) -> dict[str, bytes]:
    """Sets what a Linux file system takes, and returns that."""
    done = {}
    for name, value in xattrs.items():
        if not name.startswith(_NAMESPACES) or name in _HOST_LABELS:
            continue  # com.apple.* and the like
        try:
            if isinstance(target, int):
                os.setxattr(target, name, value)
            else:
                os.setxattr(target, name, value, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.E2BIG, errno.ERANGE):
                raise OutOfResources(
                    f"the file system has no room for the extended attribute {name[:100]!r} "
                    f"of {len(value)} bytes"
                ) from error
            if name in _ACLS and error.errno == errno.EACCES:
                raise CorruptData(f"the extended attribute {name!r} on what is no directory") from error
            # user.* is for files and directories only, and some file systems take none at all.
            if name in _REQUIRED or error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                raise
            continue
        done[name] = value
    return done


def copy_metadata(source_fd: int, target_fd: int, *, without: tuple[str, ...] = RESERVED_XATTRS) -> None:
    """Gives an open file or directory all that another has, but for overlayfs's own attributes."""
    status = os.fstat(source_fd)
    os.fchown(target_fd, status.st_uid, status.st_gid)
    os.fchmod(target_fd, status.st_mode & 0o7777)
    _set_xattrs(target_fd, read_xattrs(source_fd, without=without))
    os.utime(target_fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def copy_named_metadata(source: bytes, target: bytes, status: os.stat_result) -> None:
    """The same for a link, device or fifo by path; links are not followed."""
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if (status.st_mode & 0o170000) != 0o120000:
        os.chmod(target, status.st_mode & 0o7777)
    _set_xattrs(target, read_xattrs(source))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def read_xattrs(target: int | bytes, *, without: tuple[str, ...] = RESERVED_XATTRS) -> dict[str, bytes]:
    """The extended attributes of an open file, or of what is at a path (no link is followed), sorted."""
    follow = isinstance(target, int)
    try:
        names = os.listxattr(target, follow_symlinks=follow)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise
    return {
        name: os.getxattr(target, name, follow_symlinks=follow)
        for name in sorted(names)
        if not name.startswith(without) and name not in _HOST_LABELS
    }

"""Owner, mode, extended attributes and times of one unpacked file."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from carob.errors import CorruptData
from carob.image.overlay import RESERVED_XATTRS
from carob.image.tar_entry import Entry, EntryType

_NAMESPACES = ("security.", "trusted.", "user.", "system.")
_HOST_LABELS = frozenset(("security.selinux", "system.nfs4_acl"))
"""Labels of the host that wrote the archive: they mean nothing, or something else, on this one."""

_REQUIRED = frozenset(("security.capability", "system.posix_acl_access", "system.posix_acl_default"))
"""Attributes that decide about access: a file without them would not be the file of the archive."""


def check_xattrs(entry: Entry, what: str) -> None:
    """Refuses extended attributes that overlayfs would take for its own, and names that are none."""
    for name in entry.xattrs:
        if name.startswith(RESERVED_XATTRS):
            raise CorruptData(f"{what}: the extended attribute {name!r} is overlayfs's own")
        if "\0" in name:
            raise CorruptData(f"{what}: an extended attribute with a NUL in its name")


def set_open_metadata(fd: int, entry: Entry) -> None:
    """Sets everything on an open file or directory."""
    os.fchown(fd, entry.uid, entry.gid)
    os.fchmod(fd, entry.mode)  # after the owner: chown(2) clears the set-id bits
    _set_xattrs(fd, entry.xattrs)  # and it removes capabilities
    os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))


def set_named_metadata(dir_fd: int, name: bytes, entry: Entry) -> None:
    """Sets everything on a link, device or fifo, which cannot be opened; a link is not followed."""
    os.chown(name, entry.uid, entry.gid, dir_fd=dir_fd, follow_symlinks=False)
    if entry.type is not EntryType.SYMLINK:
        os.chmod(name, entry.mode, dir_fd=dir_fd)
    _set_xattrs(b"/proc/self/fd/%d/%s" % (dir_fd, name), entry.xattrs)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=dir_fd, follow_symlinks=False)


def _set_xattrs(target: int | bytes, xattrs: Mapping[str, bytes]) -> None:
    for name, value in xattrs.items():
        if not name.startswith(_NAMESPACES) or name in _HOST_LABELS:
            continue  # com.apple.* and the like, which no Linux file system takes
        try:
            if isinstance(target, int):
                os.setxattr(target, name, value)
            else:
                os.setxattr(target, name, value, follow_symlinks=False)
        except OSError as error:
            # user.* is for files and directories only, and some file systems take none at all.
            if name in _REQUIRED or error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                raise


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

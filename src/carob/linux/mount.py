"""Mounts through descriptors (fsopen(2), open_tree(2), move_mount(2)) and the few old calls needed.

A mount made here is detached until ``attach`` puts it somewhere, so nothing of it can be seen, or
left behind, before that: it goes with its descriptor.
"""

from __future__ import annotations

import errno
import os

from carob.linux import syscall as _sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.linux.idmap import Mapping

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

MS_REC = 0x4000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
MOUNT_ATTR_NOEXEC = 8

_OPEN_TREE_CLONE = 1
_O_CLOEXEC = os.O_CLOEXEC
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_MOVE_MOUNT_F_EMPTY_PATH = 4
_PASSING = "/sys"  # any directory that is sure to be there


class MustAttach(OSError):
    """On this kernel an overlay is attached somewhere while it is made, and this process may not do that: its
    mount namespace is others', too.
    """


def set_propagation(path: str, flags: int) -> None:
    """Makes the mounts at and below ``path`` private or slave (mount(2))."""
    _sys.syscall(_sys.SYS_MOUNT, None, path, None, flags | MS_REC, None, path=path)


def detach(path: str) -> None:
    """Takes the mount at ``path`` and all below it out of this namespace (umount2(2), MNT_DETACH)."""
    _sys.syscall(_sys.SYS_UMOUNT2, path, MNT_DETACH, path=path)


def new(fstype: str, options: list[tuple[str, str | None]], attributes: int = 0, source: str = "") -> int:
    """Makes a file system and returns the descriptor of its detached mount.

    ``options`` are (key, value) pairs, set in order; a value of ``None`` sets a flag. An error names
    the file system and what the kernel says of it.
    """
    context = _sys.syscall(_sys.SYS_FSOPEN, fstype, _FSOPEN_CLOEXEC, path=fstype)
    try:
        if source:
            options = [("source", source), *options]
        for key, value in options:
            command = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
            _configure(context, fstype, command, key, value)
        _configure(context, fstype, _FSCONFIG_CMD_CREATE, None, None)
        return _sys.syscall(_sys.SYS_FSMOUNT, context, _FSMOUNT_CLOEXEC, attributes, path=fstype)
    finally:
        os.close(context)


def _configure(context: int, fstype: str, command: int, key: str | None, value: str | None) -> None:
    try:
        _sys.syscall(_sys.SYS_FSCONFIG, context, command, key, value, 0, path=f"{fstype} {key}={value}")
    except OSError as error:
        said = _messages(context)
        if said:
            error.strerror = f"{error.strerror} ({said})"
        raise


def _messages(context: int) -> str:
    """What the kernel left to say about a failed step, read from the fsopen context."""
    said: list[str] = []
    while True:
        try:
            said.append(os.read(context, 1024).decode("utf-8", "replace").strip())
        except OSError:
            return "; ".join(said)


def clone_tree(path: str, *, recursive: bool = False, dir_fd: int = AT_FDCWD) -> int:
    """Returns the descriptor of a detached copy of the mount that shows ``path`` (a bind mount)."""
    flags = _OPEN_TREE_CLONE | _O_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    if path == "":
        flags |= AT_EMPTY_PATH
    return _sys.syscall(_sys.SYS_OPEN_TREE, dir_fd, path, flags, path=path)


def clone_unlocked(path: str) -> int:
    """``clone_tree``, with what is mounted below only where it must be: in a user namespace nothing can be
    shown that a mount of somebody else's covers (mount_namespaces(7)).
    """
    try:
        return clone_tree(path)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return clone_tree(path, recursive=True)


def set_attributes(
    mount_fd: int, add: int, *, clear: int = 0, propagation: int = 0, recursive: bool = False
) -> None:
    """Changes attributes of the mount behind a descriptor (mount_setattr(2))."""
    structure = b"".join(word.to_bytes(8, "little") for word in (add, clear, propagation, 0))
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    _sys.syscall(_sys.SYS_MOUNT_SETATTR, mount_fd, "", flags, structure, len(structure))


def attach(mount_fd: int, path: str, *, dir_fd: int = AT_FDCWD) -> None:
    """Puts a detached mount at ``path`` and closes its descriptor."""
    try:
        _sys.syscall(_sys.SYS_MOVE_MOUNT, mount_fd, "", dir_fd, path, _MOVE_MOUNT_F_EMPTY_PATH, path=path)
    finally:
        os.close(mount_fd)


def overlay(
    lower_dirs: list[str],
    upper: str,
    work: str,
    attributes: int = 0,
    *,
    user_xattrs: bool = False,
    mapping: Mapping | None = None,
    may_attach: bool = True,
) -> int:
    """Makes an overlay of ``lower_dirs`` (top first) under ``upper``; returns its detached mount.

    The directories are named by descriptors, ``/proc/self/fd/N``: fsconfig(2) takes strings of 255 bytes at
    most, and who looks at the mount from inside a pod learns nothing of the host's paths.

    It is ``volatile``: the end of any other writes back all of the file system that ``upper`` is on, whoever
    wrote to it. So ``upper`` is not to be relied on after a power loss, fsync(2) in the overlay does nothing,
    and ``work`` cannot be used a second time. ``user_xattrs`` is for layers that were not unpacked by root.
    With a ``mapping`` the layers' owners are mapped; ``upper`` is to have those that they have outside.
    ``may_attach`` says that the mount namespace is this process's own; without, it raises ``MustAttach`` on
    older kernels.
    """
    flags = ["volatile", "userxattr"] if user_xattrs else ["volatile"]
    opened: list[int] = []
    try:
        for path in (upper, work):
            opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        for path in lower_dirs:
            if mapping is not None:
                opened.append(mapping.clone(path))
            else:
                opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        names = [f"/proc/self/fd/{descriptor}" for descriptor in opened]
        try:
            return _overlay_by_layers(names[2:], names[0], names[1], flags, attributes)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        if not may_attach:
            raise MustAttach(errno.EINVAL, "an overlay that is attached nowhere: this takes Linux 6.15")
        if mapping is not None:
            return _overlay_on_attached(opened, flags, attributes)
        return overlay_in_one_page(names[2:], names[0], names[1], flags, attributes)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _overlay_by_layers(lower: list[str], upper: str, work: str, flags: list[str], attributes: int) -> int:
    """Each layer by itself (``lowerdir+``, Linux 6.5): any number of them."""
    options: list[tuple[str, str | None]] = [("lowerdir+", path) for path in lower]
    options += [("upperdir", upper), ("workdir", work), *[(flag, None) for flag in flags]]
    return new("overlay", options, attributes, "carob")


def overlay_in_one_page(lower: list[str], upper: str, work: str, flags: list[str], attributes: int) -> int:
    """For older kernels: all layers in the one page of options that mount(2) takes.

    mount(2) knows no detached mounts, so it is made on a directory of this mount namespace, which must be
    private, and taken off again at once.
    """
    options = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work},{','.join(flags)}"
    _sys.syscall(_sys.SYS_MOUNT, "carob", _PASSING, "overlay", 0, options, path="overlay")
    try:
        descriptor = clone_tree(_PASSING)
    finally:
        detach(_PASSING)
    if attributes:
        set_attributes(descriptor, attributes)
    return descriptor


def _overlay_on_attached(opened: list[int], flags: list[str], attributes: int) -> int:
    """Upper, work and layers by descriptor; before Linux 6.15 a layer must be mounted somewhere.

    So each is for a moment, in this mount namespace, which must be private.
    """
    names = [f"/proc/self/fd/{descriptor}" for descriptor in opened]
    attached = 0
    try:
        for descriptor in opened[2:]:
            attach(os.dup(descriptor), _PASSING)
            attached += 1
        try:
            return _overlay_by_layers(names[2:], names[0], names[1], flags, attributes)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        return overlay_in_one_page(names[2:], names[0], names[1], flags, attributes)
    finally:
        for _ in range(attached):
            detach(_PASSING)


def pivot_root(new_root: int) -> None:
    """Makes the mount behind a descriptor the root and lets go of the old one (pivot_root(2), stacked)."""
    os.fchdir(new_root)
    _sys.syscall(_sys.SYS_PIVOT_ROOT, ".", ".")
    detach(".")
    os.chdir("/")

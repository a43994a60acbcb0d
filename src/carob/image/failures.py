"""What a failed system call means to the caller of the image store."""

from __future__ import annotations

import errno

from carob.errors import CarobError, CorruptData, OutOfResources, PermissionDenied, Unavailable, Unsupported

_RESOURCES = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EFBIG))
_PERMISSIONS = frozenset((errno.EPERM, errno.EACCES, errno.EROFS))
_CONTENT = frozenset(
    (
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EINVAL,
        errno.ERANGE,
        errno.E2BIG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENOENT,
        errno.EMLINK,
        errno.EOVERFLOW,
        errno.EXDEV,
    )
)


def translate(error: OSError, what: str) -> CarobError:
    """The error to raise ``from error``: ``what`` says which object was worked on."""
    message = f"{what}: {error.strerror or error}"
    if error.errno in _RESOURCES:
        return OutOfResources(message, hint="make room, or raise the limit")
    if error.errno in _PERMISSIONS:
        return PermissionDenied(message, hint="this needs root, or a user namespace with the owners mapped")
    if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
        return Unsupported(message, hint="the kernel or the file system does not offer what is needed")
    if error.errno in _CONTENT:
        return CorruptData(message)
    return Unavailable(message)

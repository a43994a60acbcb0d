"""Failed system calls as errors of the tree: one table for pods, images and all else."""

from __future__ import annotations

import errno

from carob.errors import (
    CarobError,
    CorruptData,
    NotFound,
    OutOfResources,
    PermissionDenied,
    Unavailable,
    Unsupported,
)

_OWNER = "use the user that owns the data directory"
_KINDS: dict[int, tuple[type[CarobError], str]] = {
    errno.ENOENT: (NotFound, ""),
    errno.ESRCH: (NotFound, ""),
    errno.EACCES: (PermissionDenied, _OWNER),
    errno.EPERM: (PermissionDenied, _OWNER),
    errno.EROFS: (Unsupported, "the file system is read-only: use another data directory"),
    errno.EXDEV: (Unsupported, "the data directory must be one file system, without mounts inside"),
    errno.ENOSYS: (Unsupported, "the kernel does not offer what is needed: carob doctor tells more"),
    errno.EOPNOTSUPP: (Unsupported, "the file system does not offer what is needed"),
    errno.ENOSPC: (OutOfResources, "make space on the file system"),
    errno.EDQUOT: (OutOfResources, "the disk quota is used up"),
    errno.EFBIG: (OutOfResources, "the file system, or a limit (ulimit -f), takes no larger file"),
    errno.EMFILE: (OutOfResources, "this process has too many open files: raise its limit (ulimit -n)"),
    errno.ENFILE: (OutOfResources, "the system has too many open files"),
    errno.ENOMEM: (OutOfResources, ""),
    errno.ENOTDIR: (CorruptData, "a file is where a directory should be: look at it and move it away"),
    errno.EISDIR: (CorruptData, "a directory is where a file should be: look at it and move it away"),
    errno.ELOOP: (CorruptData, "a symbolic link is where none should be: look at it and move it away"),
}
_CONTENT = frozenset(
    (
        errno.E2BIG,
        errno.EEXIST,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.EMLINK,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EOVERFLOW,
        errno.ERANGE,
        errno.EXDEV,
    )
)
_PERMISSIONS = (errno.EACCES, errno.EPERM)


def failed(error: OSError, what: str) -> CarobError:
    """``error`` as one of the tree's kinds, to be raised ``from`` it; ``what`` says what was tried."""
    kind, hint = _KINDS.get(error.errno or 0, (Unavailable, ""))
    return kind(f"{what}: {error.strerror or error}", hint=hint)


def failed_on_content(error: OSError, what: str) -> CarobError:
    """The same for what was done as a document, an archive or a layer said: that may be what is wrong."""
    if error.errno in _CONTENT:
        return CorruptData(f"{what}: {error.strerror or error}")
    told = failed(error, what)
    if error.errno in _PERMISSIONS:
        told.hint = "this needs root, or a user namespace with the owners mapped"
    return told

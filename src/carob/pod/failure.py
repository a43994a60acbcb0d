"""Failed system calls as errors of the tree, and the errors that only pods have."""

from __future__ import annotations

import errno

from carob.errors import (
    CarobError,
    Conflict,
    CorruptData,
    NotFound,
    OutOfResources,
    PermissionDenied,
    Unavailable,
    Unsupported,
)


class ImmutablePod(Conflict):
    """The pod's manifest is fixed (rkt's ``ErrImmutable``)."""

    kind = "immutable pod"


class PodLocked(Conflict):
    """Another process holds the pod's lock; what was asked for may be possible in a moment."""

    kind = "pod locked"


class ChildNotReady(Conflict):
    """The process that is to become PID 1 of the pod is not there yet (rkt's ``ErrChildNotReady``)."""

    kind = "child not ready"


_KINDS: dict[int, tuple[type[CarobError], str]] = {
    errno.ENOENT: (NotFound, ""),
    errno.ESRCH: (NotFound, ""),
    errno.EACCES: (PermissionDenied, "use the user that owns the data directory"),
    errno.EPERM: (PermissionDenied, "use the user that owns the data directory"),
    errno.EROFS: (Unsupported, "the file system is read-only: use another data directory"),
    errno.EXDEV: (Unsupported, "the data directory must be one file system, without mounts inside"),
    errno.ENOSPC: (OutOfResources, "make space on the file system"),
    errno.EDQUOT: (OutOfResources, "the disk quota is used up"),
    errno.EMFILE: (OutOfResources, "this process has too many open files: raise its limit (ulimit -n)"),
    errno.ENFILE: (OutOfResources, "the system has too many open files"),
    errno.ENOMEM: (OutOfResources, ""),
    errno.ENOTDIR: (CorruptData, "a file is where a directory should be: look at it and move it away"),
    errno.EISDIR: (CorruptData, "a directory is where a file should be: look at it and move it away"),
    errno.ELOOP: (CorruptData, "a symbolic link is where none should be: look at it and move it away"),
}


def failed(error: OSError, what: str) -> CarobError:
    """``error`` as one of the tree's kinds, to be raised ``from`` it; ``what`` says what was tried."""
    kind, hint = _KINDS.get(error.errno or 0, (Unavailable, ""))
    return kind(f"{what}: {error.strerror or error}", hint=hint)

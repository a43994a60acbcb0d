"""Which of carob's errors an ``OSError`` is that files of the networks' own met."""

from __future__ import annotations

import errno

from carob.errors import CommandFailed, OutOfResources, PermissionDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.errors import CarobError

_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_SHORT = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN)


def is_shortage(error: OSError) -> bool:
    """Whether it is for want of space, descriptors or memory."""
    return error.errno in _SHORT


def failed(error: OSError, what: str) -> CarobError:
    """The error to raise; ``what`` says what could not be done."""
    message = f"{what}: {error.strerror}"
    if error.errno in _REFUSED:
        return PermissionDenied(message, hint="networks need root")
    if is_shortage(error):
        return OutOfResources(message)
    return CommandFailed(message)

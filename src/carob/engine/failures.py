"""Failed system calls, told in one place for all callers of the engine: none of them gets an ``OSError``."""

from __future__ import annotations

import errno

from carob.errors import CarobError
from carob.pod.failure import failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Attempt:
    """In a ``with`` block: an ``OSError`` becomes one of carob's errors, which says ``what`` cannot be done.

    Each error gets the ``uuid`` of the pod that it is about, where that is known and it has none.
    """

    __slots__ = ("uuid", "what")

    def __init__(self, what: str, uuid: str = "") -> None:
        self.what = what
        self.uuid = uuid

    def __enter__(self) -> Attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, CarobError):  # first: ``TimedOut`` is an OSError too
            error.uuid = error.uuid or self.uuid
        elif isinstance(error, OSError) and error.errno is not None:  # without, no system call failed
            told = failed(error, self.what)
            told.uuid = self.uuid
            raise told from error


def about(what: str, error: CarobError) -> CarobError:
    """The same error, with what it is about before its message."""
    error.message = f"{what}: {error.message}"
    error.args = (error.message,)
    return error


def is_shortage(error: BaseException) -> bool:
    """Whether a file could not be read for want of descriptors or memory.

    That says nothing about the file: who passes over files that are missing or broken must not pass over
    this.
    """
    cause = error if isinstance(error, OSError) and error.errno is not None else error.__cause__
    return isinstance(cause, OSError) and cause.errno in _SHORTAGES

"""What is said of a start that failed, by a supervisor or by a runtime, with what can be done about it."""

from __future__ import annotations

import errno
import os

from carob.errors import OutOfResources, Unavailable
from carob.linux.failure import failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.errors import CarobError

_PROCESSES = "no more processes may be made: look at --pids-limit, pids.max of the control groups, ulimit -u"
# By what crun and runc say (both have the C library's words in it), in lower case.
_HINTS = {
    "too many open files": "the runtime itself needs some 20 open files: give a higher --ulimit nofile",
    "write to seccomp fd": "the runtime itself needs larger files: give a higher --ulimit fsize",
    "resource temporarily unavailable": _PROCESSES,
    "left something out": _PROCESSES,
}


def hint(said: str) -> str:
    """What helps where a runtime has ``said`` this, or ``""``."""
    lowered = said.lower()
    return next((found for words, found in _HINTS.items() if words in lowered), "")


def of_system_call(what: str, number: int, said: str) -> CarobError:
    """The error for a system call of the supervisor's that failed; ``what`` did not come to be by that."""
    told = failed(OSError(number, said), what)
    if number == errno.EAGAIN:
        return OutOfResources(told.message, hint=_PROCESSES)
    if isinstance(told, OutOfResources) or number == errno.EROFS:
        return told
    return Unavailable(told.message)


def of_words(what: str, said: str) -> CarobError:
    """The error for a supervisor that ended early with these last words."""
    for number in (errno.EAGAIN, errno.ENOMEM):
        if os.strerror(number) in said:
            return of_system_call(what, number, said)
    return Unavailable(f"{what}: {said}")

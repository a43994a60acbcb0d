"""What the command's exit status says.

For ``run``, ``run-prepared`` and ``enter`` it is the app's own: its exit code, or 128 + n where signal n
ended it. 125 is carob's own failure, wrong usage included; 126 is a program that cannot be executed, 127
one that is not there. For every other verb: 0, or 125.
"""

from __future__ import annotations

from carob.engine.observe.ends import Exited, Signaled, Unknown, shell_code
from carob.errors import AppStartFailed, Cancelled, CommandFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from carob.engine.observe.ends import AppEnd

SUCCESS = 0
FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127
INTERRUPTED = 130
BROKEN_PIPE = 141
"""As if SIGPIPE had ended the command, which Python ignores."""

_STOP_SIGNALS = (15, 9)
_APP_FAILED = "app failed"
_FINISHED = "finished"


def of_error(error: BaseException) -> int:
    """The status for an error that ends the command."""
    if isinstance(error, AppStartFailed):
        return error.code
    if isinstance(error, Cancelled):
        return INTERRUPTED
    if isinstance(error, CommandFailed) and error.status in (NOT_EXECUTABLE, NOT_FOUND):
        return error.status
    return FAILED


def of_ends(ends: Mapping[str, AppEnd], outcome: str) -> int:
    """The status for a pod's end: that of the first app that failed, in the manifest's order.

    Where the pod was stopped because an app had failed, those that the stopping itself ended do not count.
    """
    if not ends:
        return shell_code(Unknown("nothing is known of the pod's apps"))
    if outcome == _FINISHED:
        return SUCCESS  # sidecars end as they may when nothing else is left
    failed = [end for end in ends.values() if end != Exited(0)]
    if outcome == _APP_FAILED:
        failed = [end for end in failed if not _ended_by_stopping(end)] or failed
    return shell_code(failed[0]) if failed else SUCCESS


def _ended_by_stopping(end: AppEnd) -> bool:
    match end:
        case Signaled(signal):
            return signal in _STOP_SIGNALS
        case Exited(code):
            return code - 128 in _STOP_SIGNALS
        case Unknown():
            return True  # it was never started
        case _:
            return False

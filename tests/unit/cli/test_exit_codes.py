"""The exit status: of errors, and of a pod's end."""

from __future__ import annotations

import pytest

from carob import Exited, OutOfMemory, Signaled, Unknown
from carob.cli.exit_codes import of_ends, of_error
from carob.engine.observe.ends import AppEnd
from carob.errors import AppStartFailed, CommandFailed, Conflict, InvalidInput


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Conflict("x"), 125),
        (InvalidInput("x"), 125),
        (AppStartFailed("x", app="a", code=127), 127),
        (AppStartFailed("x", app="a", code=126), 126),
        (CommandFailed("x", status=127), 127),
        (CommandFailed("x", status=3), 125),
    ],
)
def test_errors(error: Exception, status: int) -> None:
    assert of_error(error) == status


@pytest.mark.parametrize(
    ("ends", "outcome", "status"),
    [
        ([Exited(0), Exited(0)], "finished", 0),
        ([Exited(0), Exited(3), Exited(4)], "app failed", 3),
        ([Signaled(11)], "app failed", 139),
        ([OutOfMemory()], "app failed", 137),
        ([Unknown("why")], "", 125),
        # stopped because the second failed: what the stopping ended does not count
        ([Signaled(15), Exited(3), Signaled(9)], "app failed", 3),
        ([Exited(143), Exited(3)], "app failed", 3),
        ([Exited(1), Exited(3)], "app failed", 1),
        ([OutOfMemory(), Exited(3)], "app failed", 137),
        # a failure that looks as if stopping had caused it is one where there is no other
        ([Exited(0), Signaled(9)], "app failed", 137),
        # nothing but a sidecar was left, and that was ended
        ([Exited(0), Signaled(15)], "finished", 0),
        # an init app failed, and the others were never started
        ([Unknown("never"), Exited(3)], "app failed", 3),
        # stopped from outside: then that is how it ended
        ([Signaled(15), Exited(3)], "stopped", 143),
    ],
)
def test_the_first_failing_app_counts(ends: list[AppEnd], outcome: str, status: int) -> None:
    assert of_ends({str(at): end for at, end in enumerate(ends)}, outcome) == status

"""One operation, killed once: the process of one role, right before its n-th call that counts."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tests.crash import calls
from tests.crash.operations import Operation
from tests.crash.ptrace import Call, Traced
from tests.crash.roles import KILLED, Roles
from tests.crash.world import CODE, Violation, World

_LIMIT_S = 60.0


class Point(NamedTuple):
    """Where it is killed: ``number`` counts from 1 in the role."""

    role: str
    number: int


class Seen(NamedTuple):
    """What one whole operation did: points by role, and for each call passed over how often, and why."""

    points: Counter[str]
    passed_over: Counter[tuple[str, str]]


class Outcome(NamedTuple):
    """``call`` is the one that was never made, ``""`` where the operation did not get that far."""

    call: str
    output: str


def survey(world: World, operation: Operation) -> Seen:
    """Counts the points of an operation that nobody kills."""
    points: Counter[str] = Counter()
    passed: Counter[tuple[str, str]] = Counter()
    roles = Roles()

    def look(call: Call) -> None:
        if why := calls.passed_over(call.number, call.arguments):
            passed[calls.NAMES.get(call.number, str(call.number)), why] += 1
        else:
            points[roles[call.pid]] += 1

    words = operation.before(world)
    status, said = _trace(world, words, roles, look, lambda: False)
    if status not in (0, CODE):
        raise Violation(f"{' '.join(words)} ends with {status}: {said}")
    return Seen(points, passed)


def kill(world: World, operation: Operation, point: Point) -> Outcome:
    """Does the operation up to the point."""
    words = operation.before(world)
    roles = Roles()
    seen = 0
    killed = ""

    def look(call: Call) -> None:
        nonlocal seen, killed
        if killed or roles[call.pid] != point.role or calls.passed_over(call.number, call.arguments):
            return
        seen += 1
        if seen == point.number:
            killed = calls.NAMES.get(call.number, str(call.number))
            os.kill(roles.process_of(call.pid), signal.SIGKILL)

    _, output = _trace(world, words, roles, look, lambda: bool(killed))
    return Outcome(killed, output)


def _trace(
    world: World,
    words: list[str],
    roles: Roles,
    look: Callable[[Call], None],
    is_enough: Callable[[], bool],
) -> tuple[int, str]:
    """Runs the command line traced; returns its exit status, negative for a signal, and what it said."""
    path = world.top / "output"
    with open(path, "wb") as file:
        traced = Traced(roles.became, look)
        for role, pid in world.keepers():
            roles.is_known(pid, role)
            traced.attach(pid)
        traced.start(world.argv(*words), world.environment, file.fileno())
        deadline = time.monotonic() + _LIMIT_S
        while traced.step() and not is_enough():
            if time.monotonic() > deadline:
                break
        traced.let_all_go()
        while traced.status is None:
            pid, status = os.waitpid(traced.main, os.WNOHANG)
            if pid:
                traced.status = status
            elif time.monotonic() > deadline:
                os.kill(traced.main, signal.SIGKILL)
                os.waitpid(traced.main, 0)
                raise Violation(f"{' '.join(words)} hangs")
            else:
                time.sleep(0.002)
    said = path.read_text(errors="replace")
    if "Traceback" in said:
        raise Violation(f"{' '.join(words)}: {said}")
    return os.waitstatus_to_exitcode(traced.status), said


def points_of(seen: Seen) -> list[Point]:
    """All points of an operation, in order."""
    return [Point(role, n) for role in KILLED for n in range(1, seen.points[role] + 1)]

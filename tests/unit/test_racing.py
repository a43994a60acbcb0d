"""The checker of the races: what has an order is let pass, and what has none is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.racing import history
from tests.racing.apps import AppModel
from tests.racing.checker import DONE, Model, explain
from tests.racing.history import KILLED, OK, Call
from tests.racing.names import ImageNames, VolumeName
from tests.racing.pods import OF_ALL, PodModel

POD = "pod"


def call(begin: int, end: int, verb: str, outcome: str = OK, value: Any = None, given: str = "") -> Call:
    return Call(begin, end, 0, verb, POD, outcome, value, "", tuple(given.split()))


def seen(begin: int, end: int, state: str, ended: str = "", app: str = "") -> Call:
    return call(begin, end, "status", OK, [state, ended, app or ("ended" if ended else "running")])


PREPARED = call(0, 9, "prepare")
RUN = [PREPARED, call(10, 19, "run-prepared")]
STOPPED = [*RUN, call(20, 29, "stop")]
ENDED = [*STOPPED, seen(30, 31, "exited", "exited 0")]
GONE = [*ENDED, call(40, 49, "rm")]

EXPLAINED: dict[str, list[Call]] = {
    "one of two that run a pod wins": [*RUN, call(11, 18, "run-prepared", "LostRace")],
    "a status beside a run, either way": [
        *RUN,
        seen(11, 12, "prepared", app="created"),
        seen(13, 14, "running"),
    ],
    "a killed run that happened": [PREPARED, call(10, 19, "run-prepared", KILLED), seen(20, 21, "running")],
    "a killed run that did not": [
        PREPARED,
        call(10, 19, "run-prepared", KILLED),
        seen(20, 21, "prepared", app="created"),
    ],
    "a killed run that happens later": [
        PREPARED,
        call(10, 19, "run-prepared", KILLED),
        seen(20, 21, "prepared", app="created"),
        seen(30, 31, "running"),
    ],
    "two that stop": [*RUN, call(20, 29, "stop"), call(21, 30, "kill")],
    "a paused pod": [
        *RUN,
        call(20, 21, "pause"),
        seen(22, 23, "running", app="paused"),
        call(24, 25, "resume"),
    ],
    "two that remove": [*ENDED, call(40, 49, "rm"), call(41, 48, "rm")],
    "a removal of what is gone": [*GONE, call(50, 51, "rm"), call(52, 53, "status", "NotFound")],
    "a wait for what is gone": [*GONE, call(50, 51, "wait", OK, "exited 0")],
    "a wait that times out": [*RUN, call(20, 29, "wait", "TimedOut")],
    "gc between a stop and a look": [*STOPPED, call(30, 39, "gc", OK, "deleted"), call(40, 41, "list")],
    "a killed gc leaves it half-way": [
        *STOPPED,
        call(30, 39, "gc", KILLED),
        seen(40, 41, "exited garbage", "exited 0"),
    ],
}
UNEXPLAINED: dict[str, list[Call]] = {
    "two winners of one prepared pod": [*RUN, call(11, 18, "run-prepared")],
    "it runs after its end was seen": [*ENDED, seen(32, 33, "running")],
    "it runs after stop returned": [*STOPPED, seen(30, 31, "running")],
    "it ended though nobody ended it": [*RUN, seen(20, 21, "exited", "signaled 9")],
    "an end that is made up": [*STOPPED, seen(30, 31, "exited", "exited 3")],
    "two ends of one app": [*ENDED, call(32, 33, "wait", OK, "signaled 9")],
    "its end is forgotten": [*GONE, call(50, 51, "wait", "NotFound")],
    "two collectors delete it": [
        *STOPPED,
        call(30, 39, "gc", OK, "deleted"),
        call(31, 38, "gc", OK, "deleted"),
    ],
    "a removal while it runs": [*RUN, call(20, 29, "rm")],
    "removed, and still there": [*GONE, seen(50, 51, "exited garbage", "exited 0")],
    "removed, and listed": [*GONE, call(50, 59, "list", OK, ["exited", "exited 0", "ended"])],
    "not listed though it runs": [*RUN, call(20, 29, "list")],
    "a wait that returns before the end": [*RUN, call(20, 21, "wait", OK, "exited 0"), call(30, 39, "stop")],
    "a wait that times out after the end": [*STOPPED, call(30, 39, "wait", "TimedOut")],
    "a paused app is said to run": [*RUN, call(20, 21, "pause"), seen(22, 23, "running")],
    "exec in a paused pod": [*RUN, call(20, 21, "pause"), call(22, 23, "exec")],
    "a refusal without a reason": [*RUN, call(20, 21, "exec", "Conflict")],
    "gc reports a problem": [*RUN, call(20, 29, "gc", OK, "pod: cannot be read")],
    "a killed removal undoes nothing": [
        *ENDED,
        call(40, 49, "rm", KILLED),
        seen(50, 51, "running"),
    ],
    "gc takes what is not expired": [*RUN, call(20, 29, "gc", OK, "discarded")],
}


@pytest.mark.parametrize("case", EXPLAINED)
def test_a_pods_history_with_an_order_is_let_pass(case: str) -> None:
    assert explain(PodModel(stays=True), EXPLAINED[case]) is None


@pytest.mark.parametrize("case", UNEXPLAINED)
def test_a_pods_history_without_an_order_is_found(case: str) -> None:
    found = explain(PodModel(stays=True), UNEXPLAINED[case])
    assert found is not None
    assert str(found.call) in str(found)


def test_only_an_app_that_ends_by_itself_does() -> None:
    ended = [*RUN, seen(20, 21, "exited", "exited 7")]
    assert explain(PodModel(stays=False), ended) is None
    assert explain(PodModel(stays=True), ended) is not None


UP = call(0, 9, "sandbox")
ADDED = [UP, call(10, 19, "app add")]
STARTED = [*ADDED, call(20, 29, "app start")]


@pytest.mark.parametrize(
    ("calls", "has_an_order"),
    [
        ([*ADDED, call(11, 18, "app add", "Conflict")], True),
        ([*ADDED, call(11, 18, "app add")], False),
        ([*ADDED, call(20, 21, "status", OK, None)], False),  # a lost update of the manifest
        ([*STARTED, call(30, 31, "status", OK, "running")], True),
        ([*STARTED, call(30, 31, "status", OK, "created")], False),
        ([*STARTED, call(30, 39, "app rm")], False),
        ([*STARTED, call(30, 39, "app rm", "Conflict")], True),
        ([*STARTED, call(30, 39, "app rm --force"), call(31, 38, "app rm --force", "NotFound")], True),
        ([*STARTED, call(30, 39, "app rm --force"), call(31, 38, "app rm --force")], False),
        ([*STARTED, call(30, 39, "app stop"), call(40, 41, "status", OK, "running")], False),
        ([*STARTED, call(30, 39, "app stop", KILLED), call(40, 41, "status", OK, "running")], True),
        ([*STARTED, call(30, 39, "kill"), call(40, 49, "app add", "Conflict")], True),
        ([*STARTED, call(40, 49, "app rm", "Unavailable")], False),
    ],
)
def test_apps_of_mutable_pods(calls: list[Call], has_an_order: bool) -> None:
    assert (explain(AppModel(), calls) is None) is has_an_order


IMPORTED = call(0, 9, "image import", OK, "A", "a A")
TAGGED = [IMPORTED, call(10, 19, "image tag", OK, "A", "a b")]


@pytest.mark.parametrize(
    ("calls", "has_an_order"),
    [
        ([*TAGGED, call(20, 29, "image list", OK, {"a": "A", "b": "A"})], True),
        ([*TAGGED, call(20, 29, "image list", OK, {"a": "A"})], False),  # a lost update of the index
        ([*TAGGED, call(11, 18, "image list", OK, {"a": "A"})], True),
        ([*TAGGED, call(20, 21, "image resolve", OK, "B", "a")], False),
        ([*TAGGED, call(20, 29, "image rm", OK, None, "b"), call(21, 28, "image rm", OK, None, "b")], False),
        (
            [*TAGGED, call(20, 29, "image rm", KILLED, None, "b"), call(30, 31, "image run", OK, "A", "b")],
            True,
        ),
        ([*TAGGED, call(20, 29, "image gc"), call(30, 31, "image run", "NotFound", None, "b")], False),
        (
            [call(0, 9, "image import", KILLED, None, "a A"), call(10, 11, "image resolve", OK, "A", "a")],
            True,
        ),
    ],
)
def test_names_of_images(calls: list[Call], has_an_order: bool) -> None:
    kept = [one for one in calls if one.verb != "image gc"]
    assert (explain(ImageNames(), kept) is None) is has_an_order


CREATED = call(0, 9, "volume create")


@pytest.mark.parametrize(
    ("calls", "has_an_order"),
    [
        ([CREATED, call(1, 8, "volume create", "Conflict")], True),
        ([CREATED, call(1, 8, "volume create")], False),
        ([CREATED, call(10, 19, "volume rm"), call(11, 18, "volume rm", "Conflict")], True),
        ([CREATED, call(10, 19, "volume rm", "Conflict")], False),
        ([CREATED, call(10, 19, "volume rm"), call(20, 21, "volume get")], False),
        ([CREATED, call(10, 19, "volume rm", KILLED), call(20, 21, "volume get")], True),
    ],
)
def test_names_of_volumes(calls: list[Call], has_an_order: bool) -> None:
    assert (explain(VolumeName(), calls) is None) is has_an_order


class Register:
    """Any reader of a register sees what was written last."""

    looks = frozenset({"read"})

    def initial(self) -> int:
        return 0

    def alone(self, state: int) -> Iterator[int]:
        yield from ()

    def steps(self, call: Call, phase: str, state: int) -> Iterator[tuple[str, int]]:
        if call.verb == "write":
            yield DONE, call.value
        elif call.value == state:
            yield DONE, state

    def abandoned(self, call: Call, phase: str, state: int) -> Iterator[int]:
        yield state


def test_a_register_may_not_go_back() -> None:
    """The case that Herlihy and Wing begin with: the new value was seen, and then the old one."""
    model: Model = Register()
    write = call(0, 100, "write", OK, 1)
    assert explain(model, [write, call(10, 20, "read", OK, 1), call(30, 40, "read", OK, 1)]) is None
    assert explain(model, [write, call(10, 30, "read", OK, 1), call(20, 40, "read", OK, 0)]) is None
    assert explain(model, [write, call(10, 20, "read", OK, 1), call(30, 40, "read", OK, 0)]) is not None


def test_what_is_about_all_is_told_apart_by_pod() -> None:
    calls = [
        call(0, 9, "prepare"),
        call(10, 19, "list", OK, {POD: ["prepared", "", "created"], "other": ["exited", "", None]})._replace(
            target=""
        ),
        call(20, 29, "gc", OK, {POD: "deleted"})._replace(target=""),
        call(40, 49, "list", OK, {})._replace(target=""),
    ]
    told = history.about(calls, POD, OF_ALL)
    assert [one.value for one in told] == [None, ["prepared", "", "created"], "deleted"]
    assert explain(PodModel(stays=True), told) is None

"""What one app of a mutable pod is: it comes, is started and stopped, and goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.racing.checker import BEGUN, DONE
from tests.racing.history import KILLED, OK, Call

ENDS_PODS = frozenset({"stop", "kill", "rm --force", "rm"})
_SHOWN = {
    "created": ("created",),
    "starting": ("created", "starting", "running"),
    "running": ("running",),
    "not to start": ("created", "starting", "running"),
    "ending": ("running",),
    "ended": ("ended",),
}
_ENDS = frozenset({"ending", "not to start"})
_POD_IS_NOT_UP = frozenset({"Conflict", "Unavailable", "NotFound", "LostRace"})


class AppOfPod(NamedTuple):
    """``app`` is ``absent`` or where it is; ``up`` is false once the pod's end was asked for, or before it
    runs.
    """

    up: bool = False
    app: str = "absent"


class AppModel:
    """Apps that do not end by themselves."""

    looks = frozenset({"status"})

    def initial(self) -> AppOfPod:
        return AppOfPod()

    def alone(self, one: AppOfPod) -> Iterator[AppOfPod]:
        if one.app == "starting":
            yield one._replace(app="running")
        if one.app in _ENDS or (not one.up and one.app not in ("absent", "ended")):
            yield one._replace(app="ended")

    def steps(self, call: Call, phase: str, one: AppOfPod) -> Iterator[tuple[str, AppOfPod]]:
        match call.verb:
            case "sandbox":
                if phase == BEGUN:
                    yield DONE, one._replace(up=True)
                if call.outcome != OK:
                    yield DONE, one
            case verb if verb in ENDS_PODS:
                yield DONE, one._replace(up=False)
                yield DONE, one
            case "status":
                if _is_seen(call, one):
                    yield DONE, one
            case _:
                yield from _change(call, phase, one)
                if not one.up and call.outcome in _POD_IS_NOT_UP:
                    yield DONE, one
                if not one.up and call.outcome in ("AppStartFailed", "CorruptData") and one.app != "absent":
                    yield DONE, one

    def abandoned(self, call: Call, phase: str, one: AppOfPod) -> Iterator[AppOfPod]:
        yield one


def _is_seen(call: Call, one: AppOfPod) -> bool:
    if call.outcome != OK:
        return not one.up
    if call.value is None:
        return one.app == "absent" or not one.up
    return call.value in _SHOWN.get(one.app, ()) or (not one.up and one.app != "absent")


def _change(call: Call, phase: str, one: AppOfPod) -> Iterator[tuple[str, AppOfPod]]:
    if call.outcome == "NotFound" and one.app == "absent" and call.verb != "app add":
        yield DONE, one
        return
    match call.verb:
        case "app add":
            if one.up and one.app == "absent" and call.outcome in (OK, KILLED):
                yield DONE, one._replace(app="created")
            if call.outcome == "Conflict" and one.app != "absent":
                yield DONE, one
        case "app start":
            yield from _start(call, phase, one)
        case "app stop":
            yield from _end(phase, one)
            is_over = one.app in ("created", "ended") or (phase == "asked" and one.app not in _ENDS)
            if call.outcome == OK and is_over:
                yield DONE, one
        case "app rm" | "app rm --force":
            yield from _remove(call, phase, one)
        case other:
            raise ValueError(other)


def _start(call: Call, phase: str, one: AppOfPod) -> Iterator[tuple[str, AppOfPod]]:
    if one.up and one.app in ("created", "ended") and phase == BEGUN:
        yield "asked", one._replace(app="starting")
    match call.outcome:
        case "ok" if one.app == "running" or (phase == "asked" and one.app in ("ending", "ended")):
            yield DONE, one
        case "Conflict" if one.app in _ENDS:
            yield DONE, one
        case "AppStartFailed" if phase == "asked" and one.app in ("not to start", "ended"):
            yield DONE, one


def _remove(call: Call, phase: str, one: AppOfPod) -> Iterator[tuple[str, AppOfPod]]:
    if call.verb == "app rm --force":
        yield from _end(phase, one)
    if one.app in ("created", "ended") and call.outcome in (OK, KILLED):
        yield DONE, one._replace(app="absent")
    if call.outcome == "Conflict" and one.app in ("starting", "running", *_ENDS):
        yield DONE, one


def _end(phase: str, one: AppOfPod) -> Iterator[tuple[str, AppOfPod]]:
    if phase == BEGUN and one.app == "starting":
        yield "asked", one._replace(app="not to start")
    if phase == BEGUN and one.app == "running":
        yield "asked", one._replace(app="ending")
    if phase == BEGUN and one.app in _ENDS:
        yield "asked", one

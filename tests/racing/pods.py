"""What a pod is, and what each verb may do to it, without a file: the table of states with its verbs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.racing.checker import BEGUN, DONE
from tests.racing.history import KILLED, OK, Call

OF_ALL = frozenset({"list", "summaries", "gc", "gc --mark-only"})
"""The verbs that are about all pods."""
MAKERS = frozenset({"run", "prepare", "sandbox"})
UNKNOWN, ENDED_BY_ITSELF = "unknown", "exited 7"
_ENDED_BY_OTHERS = ("exited 0", "signaled 15", "signaled 9", UNKNOWN)
_RAN = frozenset({"running", "exited", "exited garbage", "exited deleting"})
_GARBAGE = {"prepared": "garbage", "aborted prepare": "garbage", "exited": "exited garbage"}
_LOCKED = {"garbage": "deleting", "exited garbage": "exited deleting"}
_UNLOCKED = {locked: unlocked for unlocked, locked in _LOCKED.items()}
_UNLISTED = frozenset({"none", "garbage", "deleting", "gone"})
_FINISHED = frozenset({"exited", "exited garbage", "exited deleting", "garbage", "deleting", "gone"})
_NEVER_RAN = frozenset({"garbage", "deleting"})
_NOT_STARTED = frozenset({"AppStartFailed", "Unavailable", "Conflict"})
_TAKEN_AWAY = frozenset({"LostRace", "Conflict", "NotFound", "Unavailable"})
_NOT_RUNNING = frozenset({"Conflict", "Unavailable", "NotFound"})


class Pod(NamedTuple):
    """``ready``: all apps have been started. ``ending``: somebody asked for the end. ``launched``: one that
    died may have sent the word to go. ``end`` is that of the one app, ``ran`` outlives the pod.
    """

    state: str = "none"
    ready: bool = False
    paused: bool = False
    ending: bool = False
    launched: bool = False
    at_once: bool = False
    ran: bool = False
    end: str = ""


class PodModel:
    """``stays``: its app, if it has one, does not end by itself."""

    looks = frozenset({"status", "list", "summaries", "wait", "exec"})

    def __init__(self, *, stays: bool) -> None:
        self.stays = stays

    def initial(self) -> Pod:
        return Pod()

    def alone(self, pod: Pod) -> Iterator[Pod]:
        if pod.state == "prepared" and pod.launched:
            yield pod._replace(state="running", ran=True, launched=False)
        if pod.state != "running":
            return
        if not pod.ready:
            yield pod._replace(ready=True)
        if pod.end:
            yield pod._replace(state="exited", paused=False)
            if pod.ending and pod.end != UNKNOWN:  # it was killed before that was written down
                yield pod._replace(state="exited", paused=False, end=UNKNOWN)
            return
        if not self.stays and not pod.paused:
            yield pod._replace(end=ENDED_BY_ITSELF)
        if pod.ending:
            for end in _ENDED_BY_OTHERS:
                yield pod._replace(end=end, paused=False)

    def steps(self, call: Call, phase: str, pod: Pod) -> Iterator[tuple[str, Pod]]:
        match call.verb:
            case "run" | "sandbox" | "prepare":
                yield from _make(call, phase, pod)
            case "run-prepared":
                yield from _run_prepared(call, phase, pod)
            case "stop" | "kill":
                yield from _end(call, phase, pod)
            case "rm" | "rm --force":
                yield from _remove(call, phase, pod)
            case "gc" | "gc --mark-only":
                yield from _collect(call, phase, pod)
            case "status" | "list" | "summaries":
                if _is_seen(call, pod):
                    yield DONE, pod
            case "wait":
                if _is_awaited(call, pod):
                    yield DONE, pod
            case "exec" | "pause" | "resume":
                yield from _steer(call, pod)
            case other:
                raise ValueError(other)

    def abandoned(self, call: Call, phase: str, pod: Pod) -> Iterator[Pod]:
        match call.verb, phase:
            case "run" | "sandbox" | "prepare", "fills" if pod.state == "preparing":
                yield pod._replace(state="aborted prepare")
            case (("run" | "sandbox" | "run-prepared"), ("made" | "begun")) if pod.state == "prepared":
                yield pod
                yield pod._replace(launched=True)
            case _, "holds":
                yield pod._replace(state=_UNLOCKED[pod.state])
            case _:
                yield pod


def _make(call: Call, phase: str, pod: Pod) -> Iterator[tuple[str, Pod]]:
    at_once = call.verb != "prepare"
    if phase == BEGUN and pod.state == "none":
        yield "fills", pod._replace(state="preparing", at_once=at_once)
    if phase == "fills" and pod.state == "preparing":
        yield "made" if at_once else DONE, pod._replace(state="prepared")
    if phase == "made" and pod.state == "prepared":
        yield "goes", pod._replace(state="running", ran=True)
    if phase == "made" and pod.state in ("garbage", "deleting", "gone") and call.outcome in _TAKEN_AWAY:
        yield DONE, pod
    if phase == "goes":
        yield from _started(call, pod)


def _started(call: Call, pod: Pod) -> Iterator[tuple[str, Pod]]:
    if pod.ready and call.outcome == OK:
        yield DONE, pod
    if pod.ending and call.outcome in _NOT_STARTED:
        yield DONE, pod


def _run_prepared(call: Call, phase: str, pod: Pod) -> Iterator[tuple[str, Pod]]:
    if phase == "goes":
        yield from _started(call, pod)
        return
    if pod.state == "prepared" and not pod.at_once and call.outcome not in ("NotFound", "LostRace"):
        yield "goes", pod._replace(state="running", ran=True)
    is_prepared = pod.state == "prepared" and not pod.at_once
    if call.outcome == "Conflict" and not is_prepared and pod.state != "none":
        yield DONE, pod
    if call.outcome == "LostRace" and pod.state not in ("none", "preparing", "prepared"):
        yield DONE, pod
    if call.outcome == "NotFound" and pod.state in ("none", "gone"):
        yield DONE, pod


def _end(call: Call, phase: str, pod: Pod) -> Iterator[tuple[str, Pod]]:
    if phase == BEGUN and pod.state == "running" and not pod.ending:
        yield BEGUN, pod._replace(ending=True)
    if call.outcome == OK and pod.state in _FINISHED:
        yield DONE, pod
    if call.outcome == "Conflict" and pod.state in ("none", "preparing", "prepared"):
        yield DONE, pod
    if call.outcome == "NotFound" and pod.state in ("none", "gone"):
        yield DONE, pod


def _remove(call: Call, phase: str, pod: Pod) -> Iterator[tuple[str, Pod]]:
    if call.verb == "rm --force" and pod.state == "running" and not pod.ending:
        yield phase, pod._replace(ending=True)
    yield from _towards_gone(call, phase, pod)
    if call.outcome == OK and pod.state in ("none", "gone"):
        yield DONE, pod
    if call.outcome in ("Conflict", "LostRace", "PodAlive") and pod.state in ("preparing", "running"):
        yield DONE, pod


def _towards_gone(call: Call, phase: str, pod: Pod) -> Iterator[tuple[str, Pod]]:
    if phase == BEGUN and pod.state in _GARBAGE:
        yield BEGUN, pod._replace(state=_GARBAGE[pod.state])
    if phase == BEGUN and pod.state in _LOCKED:
        yield "holds", pod._replace(state=_LOCKED[pod.state])
    if phase == "holds":
        yield "deleted", pod._replace(state="gone")
        yield BEGUN, pod._replace(state=_UNLOCKED[pod.state])


def _collect(call: Call, phase: str, pod: Pod) -> Iterator[tuple[str, Pod]]:
    """What it says of the pod: ``marked``, ``discarded``, ``deleted``, a problem, or nothing."""
    mark_only = call.verb == "gc --mark-only"
    if not (mark_only and (pod.state in _LOCKED or pod.state == "prepared")):
        for step, after in _towards_gone(call, phase, pod):
            is_mark = phase == BEGUN and after.state in ("garbage", "exited garbage")
            yield ("marked" if is_mark else step), after
    if phase == "marked":
        yield from _collect(call, BEGUN, pod)
    match call.value:
        case None if phase in (BEGUN, "marked") and call.outcome == OK:
            yield DONE, pod
        case "deleted" if phase == "deleted":
            yield DONE, pod
        case "marked" if phase == "marked" and pod.ran:
            yield DONE, pod
        case "discarded" if phase == "marked" and not pod.ran:
            yield DONE, pod


def _is_seen(call: Call, pod: Pod) -> bool:
    if call.outcome == "NotFound":
        return pod.state in ("none", "gone")
    if call.outcome != OK:
        return False
    if call.value is None:
        return pod.state in _UNLISTED or pod.state == "preparing"
    state, end, phase = call.value
    if state != pod.state:
        return False
    if call.verb == "summaries" or state not in _RAN or phase is None:
        return True
    if state == "running":
        return end in ("", pod.end) and (phase == "ended") is bool(end) and (phase == "paused") is pod.paused
    return bool(end == pod.end)


def _is_awaited(call: Call, pod: Pod) -> bool:
    match call.outcome:
        case "ok" if pod.state in _NEVER_RAN:
            return call.value == UNKNOWN
        case "ok":
            return pod.state in _FINISHED and pod.ran and call.value in (pod.end, None)
        case "TimedOut":
            return pod.state not in _FINISHED
        case "NotFound":
            return pod.state == "none" or (pod.state in ("gone", *_NEVER_RAN) and not pod.ran)
    return False


def _steer(call: Call, pod: Pod) -> Iterator[tuple[str, Pod]]:
    runs = pod.state == "running" and not pod.end
    if call.outcome in (OK, KILLED) and runs:
        match call.verb:
            case "pause":
                yield DONE, pod._replace(paused=True)
            case "resume":
                yield DONE, pod._replace(paused=False)
            case _ if not pod.paused:
                yield DONE, pod
    if call.outcome == OK and call.verb == "resume" and pod.state == "running":
        yield DONE, pod
    hindered = pod.state != "running" or pod.ending or not pod.ready or bool(pod.end)
    if call.outcome in _NOT_RUNNING and (hindered or (call.verb == "exec" and pod.paused)):
        yield DONE, pod
    cut_short = pod.paused or pod.ending or bool(pod.end) or pod.state != "running"
    if call.verb == "exec" and call.outcome in ("died", "CommandFailed") and cut_short:
        yield DONE, pod

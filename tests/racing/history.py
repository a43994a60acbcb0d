"""What the workers did: each call with its time, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

KILLED = "killed"
"""The outcome of a call whose process was killed in it: it may have happened or not."""
OK = "ok"


class Call(NamedTuple):
    """One call of one process. Times are nanoseconds of CLOCK_MONOTONIC, which all processes share.

    ``target`` names the object it was about, ``""`` for those that are about all. ``outcome`` is ``OK``,
    ``KILLED`` or the name of an error's class, ``value`` what it returned, ``words`` what the error said,
    ``given`` what it was called with.
    """

    begin: int
    end: int
    worker: int
    verb: str
    target: str
    outcome: str
    value: Any = None
    words: str = ""
    given: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = self.value if self.outcome == OK else f"{self.outcome} {self.words}"
        times = f"{self.begin / 1e9:.4f} to {self.end / 1e9:.4f}"
        return f"{times}, {self.worker}: {' '.join([self.verb, *self.given])} {self.target[:13]}: {said}"


def read(path: Path, worker: int, died: int) -> list[Call]:
    """The calls of one worker, by its record; ``died`` is when it was gone."""
    calls: list[Call] = []
    begun: dict[str, Any] | None = None
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line of one that was killed
        match record:
            case {"begin": _}:
                begun = record
            case {"made": str(uuid)} if begun is not None:
                begun["target"] = uuid
            case {"end": int(end), "outcome": str(outcome), "value": value, "words": str(words)} if begun:
                calls.append(_call(begun, end, worker, outcome, value, words))
                begun = None
    if begun is not None:
        calls.append(_call(begun, died, worker, KILLED, None, ""))
    return calls


def _call(begun: dict[str, Any], end: int, worker: int, outcome: str, value: Any, words: str) -> Call:
    given = tuple(begun["given"])
    return Call(begun["begin"], end, worker, begun["verb"], begun["target"], outcome, value, words, given)


def in_order(calls: Iterable[Call]) -> list[Call]:
    """By when they began."""
    return sorted(calls, key=lambda call: (call.begin, call.end))


def about(calls: Iterable[Call], target: str, of_all: frozenset[str]) -> list[Call]:
    """The history of one object: the calls about it, and of those about all, what they mean for it.

    The latter from the first of the former to the last that tells of it. ``value`` of a call about all is a
    mapping; it becomes what that has for ``target``, or ``None``.
    """
    own, others = [], []
    for call in calls:
        if call.target == target:
            own.append(call)
        elif call.verb in of_all:
            told = call.value.get(target) if isinstance(call.value, dict) else None
            others.append(call._replace(target=target, value=told))
    if not own:
        return []
    first = min(call.begin for call in own)
    last = max(call.end for call in own + [call for call in others if call.value is not None])
    return in_order(own + [call for call in others if call.end >= first and call.begin <= last])

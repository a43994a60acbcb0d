"""Whether a history has an order that its model explains.

The method is Wing and Gong's search, in the form that Lowe gave it (just-in-time linearization): all states
that the object may be in are followed at once, each with what the calls in flight have done so far, and each
call that ends leaves those in which it could end so. Nothing is tried twice.

A model may let a call take several steps, at any moments between its begin and its end: what is one rename
after another is not one moment. A call of one step is what linearizability asks of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple, Protocol

from tests.racing.history import KILLED, Call

BEGUN = "begun"
DONE = "done"
MOST = 200_000
"""Of possibilities at once: beyond it a history is given up, which is told."""


class Model(Protocol):
    """A pure state machine. States are hashable; the steps of a call are named by strings.

    ``looks`` are the verbs that change nothing, whatever comes of them.
    """

    looks: frozenset[str]

    def initial(self) -> Hashable: ...

    def alone(self, state: Any) -> Iterator[Any]:
        """The states that may follow though nobody calls."""
        ...

    def steps(self, call: Call, phase: str, state: Any) -> Iterator[tuple[str, Any]]:
        """What a call in a phase may do next; ``DONE`` is reached where its outcome is then true."""
        ...

    def abandoned(self, call: Call, phase: str, state: Any) -> Iterator[Any]:
        """What is left where the process dies in that phase."""
        ...


class Unexplained(NamedTuple):
    """The first call that ends as nothing explains; ``states`` are those possible before its end."""

    call: Call
    states: tuple[str, ...]
    before: tuple[Call, ...]
    in_flight: tuple[Call, ...]

    def __str__(self) -> str:
        lines = [f"nothing explains {self.call}", "  possible until then:"]
        lines += [f"    {state}" for state in self.states[:6]]
        lines += ["  ended before:", *[f"    {call}" for call in self.before[-14:]]]
        lines += ["  in flight:", *[f"    {call}" for call in self.in_flight]]
        return "\n".join(lines)


class GaveUp(Exception):
    """More possibilities than can be followed."""


class _Possible(NamedTuple):
    state: Any
    phases: frozenset[tuple[int, str]]


def explain(model: Model, history: list[Call]) -> Unexplained | None:
    """Looks for an order; ``None`` where there is one. Raises ``GaveUp``."""
    moments = sorted(
        [(call.begin, 0, number) for number, call in enumerate(history)]
        + [(call.end, 1, number) for number, call in enumerate(history)]
    )
    possible = {_Possible(model.initial(), frozenset())}
    in_flight: set[int] = set()
    ended: list[Call] = []
    for _, is_end, number in moments:
        if not is_end:
            in_flight.add(number)
            possible = {_Possible(one.state, one.phases | {(number, BEGUN)}) for one in possible}
            continue
        call = history[number]
        reached = _closure(model, history, possible)
        leave = _abandon if call.outcome == KILLED else _finish
        after = {left for one in reached for left in leave(model, call, number, one)}
        in_flight.discard(number)
        if not after:
            states = tuple(sorted({str(one.state) for one in reached}))
            return Unexplained(call, states, tuple(ended), tuple([history[one] for one in sorted(in_flight)]))
        possible = after
        ended.append(call)
    return None


def _finish(_: Model, __: Call, number: int, one: _Possible) -> Iterator[_Possible]:
    if (number, DONE) in one.phases:
        yield _Possible(one.state, one.phases - {(number, DONE)})


def _abandon(model: Model, call: Call, number: int, one: _Possible) -> Iterator[_Possible]:
    phase = next(phase for mine, phase in one.phases if mine == number)
    rest = one.phases - {(number, phase)}
    for state in model.abandoned(call, phase, one.state):
        yield _Possible(state, rest)


def _closure(model: Model, history: list[Call], possible: set[_Possible]) -> set[_Possible]:
    """All that can be reached before the next call ends."""
    reached = {_settled(model, history, one) for one in possible}
    work = list(reached)
    while work:
        one = work.pop()
        for following in _following(model, history, one):
            settled = _settled(model, history, following)
            if settled not in reached:
                if len(reached) >= MOST:
                    raise GaveUp
                reached.add(settled)
                work.append(settled)
    return reached


def _following(model: Model, history: list[Call], one: _Possible) -> Iterator[_Possible]:
    for state in model.alone(one.state):
        yield _Possible(state, one.phases)
    for mine in one.phases:
        number, phase = mine
        if phase != DONE:
            for step, state in model.steps(history[number], phase, one.state):
                yield _Possible(state, one.phases - {mine} | {(number, step)})


def _settled(model: Model, history: list[Call], one: _Possible) -> _Possible:
    """With every look done that can be: later it could tell no more than now."""
    phases = one.phases
    for mine in one.phases:
        number, phase = mine
        call = history[number]
        if (
            phase != DONE
            and call.verb in model.looks
            and (DONE, one.state) in model.steps(call, phase, one.state)
        ):
            phases = phases - {mine} | {(number, DONE)}
    return _Possible(one.state, phases)


Explain = Callable[[Model, list[Call]], Unexplained | None]

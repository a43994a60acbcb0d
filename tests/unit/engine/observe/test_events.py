"""What a pod's document tells of its life."""

from __future__ import annotations

from typing import Any

from carob.engine.observe.events import document, of_document

APP: dict[str, Any] = {"name": "web", "started_ns": 30, "finished_ns": None, "end": None}
POD: dict[str, Any] = {
    "uuid": "u", "name": "n", "state": "running", "pid": 7, "created_ns": 10, "started_ns": 20,
    "ended_ns": None, "outcome": "", "reason": "", "apps": [APP],
}  # fmt: skip


def kinds(pod: dict[str, Any], removed_ns: int | None = None) -> list[tuple[int, str]]:
    return [(event.time_ns, event.kind) for event in of_document(pod, removed_ns=removed_ns)]


def test_only_what_has_happened_is_told() -> None:
    assert kinds({**POD, "started_ns": None, "state": "prepared", "apps": []}) == [(10, "prepared")]
    assert kinds(POD) == [(10, "prepared"), (20, "started"), (30, "app-started")]


def test_a_start_is_told_when_it_is_known_for_certain() -> None:
    """Before init is written down, the time of another file stands for it."""
    assert kinds({**POD, "pid": None, "apps": []}) == [(10, "prepared")]
    assert kinds({**POD, "pid": None, "state": "exited"})[1] == (20, "started")


def test_an_end_that_is_written_is_told_once_the_pod_is_over() -> None:
    ending = {
        **POD,
        "ended_ns": 50,
        "apps": [{**APP, "finished_ns": 40, "end": {"kind": "exited", "code": 0}}],
    }
    assert kinds(ending)[-1] == (40, "app-ended")
    assert kinds({**ending, "state": "exited"})[-2:] == [(40, "app-ended"), (50, "ended")]
    assert kinds({**ending, "state": "exited"}, removed_ns=60)[-1] == (60, "removed")


def test_ends_that_nobody_saw_come_after_all_that_was_seen() -> None:
    unseen = {**POD, "state": "exited", "apps": [{**APP, "end": {"kind": "unknown", "reason": "x"}}]}
    assert kinds(unseen)[-2:] == [(30, "app-ended"), (30, "ended")]


def test_a_pod_that_never_ran_does_not_end() -> None:
    never = {**POD, "state": "exited garbage", "started_ns": None, "apps": []}
    assert kinds(never, removed_ns=60) == [(10, "prepared"), (60, "removed")]


def test_documents_have_what_belongs_to_their_kind() -> None:
    over = {**POD, "state": "exited", "ended_ns": 50, "outcome": "stopped", "reason": "asked to"}
    first, *_, last = [document(event) for event in of_document(over)]
    assert first == {"time_ns": 10, "event": "prepared", "uuid": "u", "name": "n"}
    assert last["outcome"] == "stopped"
    assert "app" not in last


def test_what_is_no_time_is_passed_over() -> None:
    assert kinds({**POD, "created_ns": "yesterday", "apps": None}) == [(20, "started")]

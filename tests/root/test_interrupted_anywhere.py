"""What is left open where something else than an error, such as KeyboardInterrupt, comes in any call."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from carob import App, Engine, PodHandle
from carob.engine.copy import roots
from carob.engine.observe import output
from tests.leaks import descriptors

MOST_CALLS = 200
LETS_GO = ("close", "close_places", "_let_go", "__exit__")
"""Calls that cannot be interrupted without loss, by their names."""


class Interrupt(BaseException):
    """As KeyboardInterrupt."""


@pytest.fixture
def pod(engine: Engine) -> Iterator[PodHandle]:
    with engine.run(App("busybox", ["sh", "-c", "echo hi; exec sleep 1000"])) as running:
        next(running.follow_logs())
        yield running


def interrupted_in(number: int, file: str, call: Callable[[], object]) -> str:
    """Interrupt in this one of the calls that ``file`` makes; return its name, ``""`` if there are fewer."""
    seen: list[str] = []

    def trace(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_back is not None and frame.f_back.f_code.co_filename == file:
            name = frame.f_code.co_name
            if name not in LETS_GO and frame.f_back.f_code.co_name not in LETS_GO:
                seen.append(name)
                if len(seen) == number:
                    raise Interrupt

    sys.settrace(trace)
    try:
        call()
    except Interrupt:
        return seen[-1]
    finally:
        sys.settrace(None)
    return ""


@pytest.mark.parametrize("what", ["copies", "follows"])
def test_nothing_stays_open(pod: PodHandle, tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_text("x")

    def follow() -> None:
        batches: Any = pod.log_batches()
        with contextlib.closing(batches):
            next(batches)

    calls: dict[str, tuple[str, Callable[[], object]]] = {
        "copies": (roots.__file__, lambda: pod.copy_in(tmp_path / "file", "/tmp")),
        "follows": (output.__file__, follow),
    }
    file, call = calls[what]
    call()
    before = descriptors()
    for number in range(1, MOST_CALLS):
        name = interrupted_in(number, file, call)
        assert descriptors() == before, f"call {number}, of {name}"
        if not name:
            assert number > 3
            return
    pytest.fail("it never came to its end")

from __future__ import annotations

import sys
from types import FrameType

import pytest

from carob.errors import Cancelled
from carob.image.cancel import Cancellation


def test_what_waits_is_woken_once() -> None:
    cancel = Cancellation()
    woken: list[str] = []
    with cancel.calls(lambda: woken.append("inner")):
        cancel.cancel()
        cancel.cancel()
    assert woken == ["inner"]
    with pytest.raises(Cancelled):
        cancel.check()


def test_who_has_left_is_not_woken() -> None:
    cancel = Cancellation()
    woken: list[str] = []
    with cancel.calls(lambda: woken.append("x")):
        cancel.check()
    cancel.cancel()
    assert woken == []


def test_who_comes_late_is_woken_at_once() -> None:
    cancel = Cancellation()
    cancel.cancel()
    woken: list[str] = []
    with cancel.calls(lambda: woken.append("x")):
        assert woken == ["x"]


def test_a_waker_may_call_off_more() -> None:
    outer, inner = Cancellation(), Cancellation()
    with outer.calls(inner.cancel), inner.calls(outer.cancel):
        outer.cancel()
    assert inner.is_cancelled


@pytest.mark.parametrize("line", range(1, 9))
def test_a_signal_handler_between_any_two_lines(line: int) -> None:
    """Whenever it calls off, who waits is woken, once."""
    cancel = Cancellation()
    woken: list[int] = []
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal lines
        if frame.f_code.co_name != "calls":
            return None
        if event == "line":
            lines += 1
            if lines == line:
                cancel.cancel()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with cancel.calls(lambda: woken.append(1)):
            sys.settrace(before)
            cancel.cancel()
            assert woken == [1]
    finally:
        sys.settrace(before)

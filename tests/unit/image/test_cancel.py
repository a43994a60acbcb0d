from __future__ import annotations

import pytest

from carob.image.cancel import Cancellation, Cancelled


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

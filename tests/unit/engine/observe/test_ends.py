"""Ends are a closed type: written, read back, told as a shell would, and never made up."""

from __future__ import annotations

import pickle

import pytest

from carob import AppEnd, Exited, OutOfMemory, Signaled, Unknown
from carob.engine.observe import ends, views

ENDS: list[AppEnd] = [Exited(0), Exited(3), Signaled(15), OutOfMemory(), Unknown("init was killed")]


@pytest.mark.parametrize("end", ENDS)
def test_a_view_is_read_back(end: AppEnd) -> None:
    assert ends.from_view(views.end_document(end)) == end
    assert pickle.loads(pickle.dumps(end)) == end
    assert len({end, ends.from_view(views.end_document(end))}) == 1


def test_shell_codes() -> None:
    assert [ends.shell_code(end) for end in ENDS] == [0, 3, 143, 137, 125]


@pytest.mark.parametrize("record", [{}, {"end": "exited"}, {"end": "exited", "code": "0"}, {"end": "later"}])
def test_a_record_that_cannot_be_read_is_unknown(record: dict[str, object]) -> None:
    assert isinstance(ends.from_record(record), Unknown)

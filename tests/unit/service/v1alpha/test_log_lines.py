from __future__ import annotations

import asyncio

import pytest

from carob.aio.steps import Steps
from carob.errors import InvalidInput
from carob.logs.entry import LogEntry
from carob.service.v1alpha import api_pb2 as api
from carob.service.v1alpha import log_stream
from carob.service.v1alpha.log_stream import line


def test_a_line_begins_with_a_time_that_rkts_clients_read() -> None:
    assert line(1_479_996_245_000_123_999, b"a \xff") == "2016-11-24 14:04:05.000123 +0000 UTC a �"


def test_parts_are_put_together_by_app_and_stream() -> None:
    lines = log_stream._Lines()
    batch = [
        ("a", LogEntry(1, "stdout", True, b"one ")),
        ("b", LogEntry(2, "stdout", False, b"other")),
        ("a", LogEntry(3, "stderr", False, b"error")),
        ("a", LogEntry(4, "stdout", False, b"two")),
        ("a", LogEntry(5, "stdout", True, b"never ended")),
    ]
    taken = [text.split(" ", 4)[4] for response in lines.take(batch) for text in response.lines]
    assert taken == ["other", "error", "one two"]
    rest = [text.split(" ", 4)[4] for response in lines.finish() for text in response.lines]
    assert rest == ["never ended"]


def test_a_line_without_end_is_given_out_in_pieces() -> None:
    lines = log_stream._Lines()
    piece = LogEntry(1, "stdout", True, b"x" * 65536)
    responses = [response for _ in range(40) for response in lines.take([("a", piece)])]
    assert len(responses) == 2
    assert all(response.ByteSize() < 2 << 20 for response in responses)


def test_responses_stay_below_what_clients_take() -> None:
    batch = [("a", LogEntry(1, "stdout", False, b"x" * 16000)) for _ in range(1000)]
    responses = log_stream._Lines().take(batch)
    assert sum(len(response.lines) for response in responses) == 1000
    assert all(response.ByteSize() < 1 << 20 for response in responses)


@pytest.mark.parametrize(
    "wrong", [{"lines": -1}, {"since_time": -1}, {"until_time": 1 << 62}, {"lines": 10_001}]
)
def test_wrong_bounds_are_refused(wrong: dict[str, int]) -> None:
    async def read() -> None:
        request = api.GetLogsRequest(**wrong)
        async for _ in log_stream.read("/nowhere", "uuid", ["a", "b"], Steps(1), request):
            pass

    with pytest.raises(InvalidInput):
        asyncio.run(read())

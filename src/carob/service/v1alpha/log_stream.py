"""GetLogs: what the apps of a pod wrote, in the lines that rkt made of its journal."""

from __future__ import annotations

from collections import deque
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime

from carob.aio import logs
from carob.errors import InvalidInput
from carob.service.v1alpha import api_pb2 as api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from carob.aio.steps import Steps
    from carob.engine.observe.output import LogEntry

    Batches = AsyncGenerator[list[tuple[str, LogEntry]], None]

_S = 1_000_000_000
_LAST_S = (1 << 63) // _S - 1
_MOST_BYTES = 1 << 18
"""Of a response, about: clients refuse more than 4 MiB."""
_BATCH = 1000
_LONGEST_LINE_BYTES = 1 << 20
_MOST_LINES_OF_SEVERAL = 10_000


async def read(
    data_dir: str, uuid: str, apps: Sequence[str], steps: Steps, request: api.GetLogsRequest
) -> AsyncGenerator[api.GetLogsResponse, None]:
    """Responses with what is there or, with ``follow``, until the pod has ended.

    ``apps`` are those asked for, at least one.
    """
    _check(request, apps)
    bounds = {
        "tail": request.lines or None,
        "since_ns": request.since_time * _S,
        "until_ns": request.until_time * _S if request.until_time else None,
    }
    lines = _Lines()
    async with AsyncExitStack() as stack:
        if request.follow or len(apps) == 1:
            batches = logs.batches(data_dir, uuid, apps, steps, follow=request.follow, **bounds)  # type: ignore[arg-type]
        else:
            each = [logs.batches(data_dir, uuid, [app], steps, follow=False, **bounds) for app in apps]  # type: ignore[arg-type]
            for one in each:
                await stack.enter_async_context(aclosing(one))
            batches = _merged(each)
            if request.lines:
                batches = _last(batches, request.lines)
        async for batch in await stack.enter_async_context(aclosing(batches)):
            for response in lines.take(batch):
                yield response
    for response in lines.finish():
        yield response


def _check(request: api.GetLogsRequest, apps: Sequence[str]) -> None:
    if not (0 <= request.since_time <= _LAST_S and 0 <= request.until_time <= _LAST_S):
        raise InvalidInput("since_time and until_time are seconds since 1970, and these are none")
    if request.lines < 0:
        raise InvalidInput(f"there are no {request.lines} lines")
    if request.lines > _MOST_LINES_OF_SEVERAL and len(apps) > 1 and not request.follow:
        raise InvalidInput(
            f"at most {_MOST_LINES_OF_SEVERAL} lines of several apps are put together",
            hint="ask for one app at a time",
        )


async def _merged(each: list[Batches]) -> Batches:
    """The entries of several apps in the order of time."""
    heads = [(batches, deque(await _next(batches))) for batches in each]
    merged: list[tuple[str, LogEntry]] = []
    while heads := [head for head in heads if head[1]]:
        batches, entries = min(heads, key=lambda head: head[1][0][1].time_ns)
        merged.append(entries.popleft())
        if not entries:
            entries.extend(await _next(batches))
        if len(merged) >= _BATCH:
            yield merged
            merged = []
    if merged:
        yield merged


async def _next(batches: Batches) -> list[tuple[str, LogEntry]]:
    async for batch in batches:
        return batch
    return []


async def _last(batches: Batches, count: int) -> Batches:
    """The last entries of all, of which each app gave that many at most."""
    kept: deque[tuple[str, LogEntry]] = deque(maxlen=count)
    async with aclosing(batches) as all_batches:
        async for batch in all_batches:
            kept.extend(batch)
    if kept:
        yield list(kept)


class _Lines:
    """Puts lines together that came in parts, and responses of them."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str], tuple[int, bytearray]] = {}

    def take(self, batch: list[tuple[str, LogEntry]]) -> list[api.GetLogsResponse]:
        """What is whole with these."""
        lines: list[str] = []
        for app, entry in batch:
            key = app, entry.stream
            begun_ns, data = self._begun.pop(key, (entry.time_ns, bytearray()))
            data += entry.data
            if entry.partial and len(data) < _LONGEST_LINE_BYTES:
                self._begun[key] = begun_ns, data
            else:
                lines.append(line(begun_ns, bytes(data)))
        return _responses(lines)

    def finish(self) -> list[api.GetLogsResponse]:
        """What is not, and never will be."""
        begun = sorted(self._begun.values())
        self._begun = {}
        return _responses([line(begun_ns, bytes(data)) for begun_ns, data in begun])


def line(time_ns: int, data: bytes) -> str:
    """``2016-01-02 15:04:05.123456 +0000 UTC TEXT``: what rkt's clients take apart."""
    moment = datetime.fromtimestamp(time_ns // _S, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{moment}.{time_ns % _S // 1000:06} +0000 UTC {data.decode('utf-8', 'replace')}"


def _responses(lines: list[str]) -> list[api.GetLogsResponse]:
    found, some, size_bytes = [], [], 0
    for one in lines:
        some.append(one)
        size_bytes += len(one)
        if size_bytes >= _MOST_BYTES:
            found.append(api.GetLogsResponse(lines=some))
            some, size_bytes = [], 0
    return [*found, api.GetLogsResponse(lines=some)] if some else found

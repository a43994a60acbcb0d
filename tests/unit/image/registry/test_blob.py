"""Blobs that break off, and registries that are odd about ranges, before a real registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from carob.errors import CorruptData, InvalidInput, NotFound, Unavailable
from carob.image.registry.blob import BlobStream, begin_blob
from carob.image.registry.limits import Limits
from carob.spec.oci.descriptor import Descriptor
from tests.parts.faults import (
    Answer,
    Chunked,
    ContentRange,
    CutRandomly,
    Drop,
    Fault,
    Length,
    RefuseRange,
    Stall,
    unavailable,
)
from tests.parts.faulty_proxy import FaultyProxy
from tests.parts.registry import Registry as Part
from tests.unit.image.registry.conftest import Connect
from tests.unit.image.registry.images import Image, describe, noise

Proxy = Callable[..., FaultyProxy]
DATA = noise(3 << 20)
BLOB = describe(DATA)


@pytest.fixture
def front(registry: Part, faulty_proxy: Proxy, connect: Connect) -> FaultyProxy:
    Image(DATA).push(connect(registry.host), "blob/app")
    return faulty_proxy(registry)


Open = Callable[..., BlobStream]


@pytest.fixture
def open_at(front: FaultyProxy, connect: Connect, limits: Limits) -> Open:
    def open_stream(offset: int = 0, blob: Descriptor = BLOB, **other: object) -> BlobStream:
        chosen = replace(limits, **other) if other else limits  # type: ignore[arg-type]
        client = connect(front.host, limits=chosen)
        return BlobStream(
            lambda position: begin_blob(client, "blob/app", blob, position),
            blob,
            offset,
            name="the blob",
            limits=chosen,
        )

    return open_stream


def read_all(reader: BlobStream, size: int = 1 << 17) -> bytes:
    pieces = []
    while piece := reader.read(size):
        assert len(piece) <= size
        pieces.append(piece)
    assert reader.read(size) == b""
    reader.close()
    return b"".join(pieces)


def ranges(front: FaultyProxy) -> list[str]:
    return [seen.headers.get("Range", "") for seen in front.seen if "/blobs/" in seen.target]


def test_from_the_beginning(front: FaultyProxy, open_at: Open) -> None:
    reader = open_at()
    assert reader.offset == 0
    assert read_all(reader) == DATA
    assert ranges(front) == [""]


@pytest.mark.parametrize("offset", [1, 1 << 20, len(DATA) - 1])
def test_from_the_middle(front: FaultyProxy, open_at: Open, offset: int) -> None:
    reader = open_at(offset)
    assert reader.offset == offset
    assert read_all(reader) == DATA[offset:]
    assert ranges(front) == [f"bytes={offset}-"]


def test_at_its_end_nothing_is_asked(front: FaultyProxy, open_at: Open) -> None:
    reader = open_at(len(DATA))
    assert reader.offset == len(DATA)
    assert read_all(reader) == b""
    assert ranges(front) == []


@pytest.mark.parametrize("offset", [-1, len(DATA) + 1])
def test_beyond_its_end_is_nothing(open_at: Open, offset: int) -> None:
    with pytest.raises(InvalidInput):
        open_at(offset)


def test_an_empty_blob(open_at: Open) -> None:
    assert read_all(open_at(0, describe(b""))) == b""


def test_a_blob_that_is_not_there(open_at: Open) -> None:
    with pytest.raises(NotFound):
        open_at(0, describe(b"never pushed"))


@pytest.mark.parametrize("reset", [False, True])
def test_what_breaks_off_is_gone_on_with(front: FaultyProxy, open_at: Open, reset: bool) -> None:
    front.add(Drop(1_000_000, reset=reset), target="/blobs/")
    front.add(Drop(500_000, reset=reset), target="/blobs/")
    assert read_all(open_at()) == DATA
    first, second, third = ranges(front)
    assert first == ""
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 1_000_000
    assert int(third.removeprefix("bytes=").rstrip("-")) > int(second.removeprefix("bytes=").rstrip("-"))


def test_what_stalls_is_gone_on_with(front: FaultyProxy, open_at: Open) -> None:
    front.add(Stall(1_000_000), target="/blobs/")
    assert read_all(open_at(stall_s=0.3)) == DATA
    assert len(ranges(front)) == 2


def test_cut_at_many_points(front: FaultyProxy, open_at: Open) -> None:
    front.add(CutRandomly(7), target="/blobs/", times=20)
    assert read_all(open_at(attempts=30, longest_wait_s=0.01)) == DATA


def test_a_registry_that_sends_all_again(front: FaultyProxy, open_at: Open) -> None:
    front.add(Drop(2_000_000), target="/blobs/")
    front.add(RefuseRange(), target="/blobs/", times=None)
    assert read_all(open_at()) == DATA
    assert len(ranges(front)) == 2


def test_a_registry_without_ranges_begins_at_the_beginning(front: FaultyProxy, open_at: Open) -> None:
    front.add(RefuseRange(), target="/blobs/", times=None)
    reader = open_at(1_000_000)
    assert reader.offset == 0
    assert read_all(reader) == DATA


def test_sent_all_again_and_broken_off_before_anything_new(front: FaultyProxy, open_at: Open) -> None:
    front.add(Drop(2_000_000), target="/blobs/")
    front.add(_DroppedWhole(1_000_000), target="/blobs/")
    front.add(RefuseRange(), target="/blobs/", times=None)
    assert read_all(open_at()) == DATA
    assert len(ranges(front)) == 3


class _DroppedWhole(RefuseRange):
    def __init__(self, after: int) -> None:
        self._drop = Drop(after)

    def change(self, reply, exchange):  # type: ignore[no-untyped-def]
        super().change(reply, exchange)
        self._drop.change(reply, exchange)


@pytest.mark.parametrize(
    "text",
    [
        "bytes 0-9/10",
        f"bytes 0-{len(DATA) - 1}/{len(DATA)}",
        f"bytes 1000001-{len(DATA) - 1}/{len(DATA)}",
        f"bytes 1000000-{len(DATA) - 1}/*",
        f"bytes 1000000-{len(DATA)}/{len(DATA) + 1}",
        f"bytes 1000000-1000009/{len(DATA)}",
        f"octets 1000000-{len(DATA) - 1}/{len(DATA)}",
        "bytes */10",
        "",
        "nonsense",
        "bytes -1-2/3",
        "bytes 1000000-" + "9" * 50 + "/" + "9" * 50,
    ],
)
def test_a_part_that_is_not_the_one_asked_for_is_not_taken(
    front: FaultyProxy, open_at: Open, text: str
) -> None:
    front.add(ContentRange(text), target="/blobs/")
    reader = open_at(1_000_000)
    assert reader.offset == 0  # asked again, for all of it
    assert read_all(reader) == DATA
    assert ranges(front) == ["bytes=1000000-", ""]


def test_a_part_that_nobody_asked_for(front: FaultyProxy, open_at: Open) -> None:
    front.add(ContentRange(f"bytes 0-{len(DATA) - 1}/{len(DATA)}"), target="/blobs/")
    with pytest.raises(CorruptData, match="status 206"):
        open_at()


def test_416_is_answered_by_asking_for_all(front: FaultyProxy, open_at: Open) -> None:
    front.add(Answer(416, {"Content-Range": "bytes */10"}), target="/blobs/")
    reader = open_at(1_000_000)
    assert reader.offset == 0
    assert read_all(reader) == DATA


def test_416_in_the_middle(front: FaultyProxy, open_at: Open) -> None:
    front.add(Drop(2_000_000), target="/blobs/")
    front.add(Answer(416), target="/blobs/")
    assert read_all(open_at()) == DATA


@pytest.mark.parametrize("delta", [-1, 1, 1 << 40])
def test_a_length_that_is_wrong(front: FaultyProxy, open_at: Open, delta: int) -> None:
    front.add(Length(delta), target="/blobs/", times=None)
    with pytest.raises(CorruptData, match="the registry sends"):
        open_at()


def test_without_a_length(front: FaultyProxy, open_at: Open) -> None:
    front.add(Chunked(), target="/blobs/", times=None)
    assert read_all(open_at()) == DATA


class _CutShort(Fault):
    """Ends in good order, too early, with no length told."""

    def change(self, reply, exchange):  # type: ignore[no-untyped-def]
        reply.length = None
        reply.body = iter([b"".join(reply.body)[:-1000]])


def test_an_end_that_comes_too_early(front: FaultyProxy, open_at: Open) -> None:
    front.add(_CutShort(), target="/blobs/")
    assert read_all(open_at()) == DATA
    front.add(_CutShort(), target="/blobs/", times=None)
    reader = open_at()
    with pytest.raises(Unavailable, match="ended after"):
        read_all(reader)
    reader.close()


def test_a_registry_that_goes_away_and_comes_back(front: FaultyProxy, open_at: Open) -> None:
    front.add(Drop(1_000_000), target="/blobs/")
    front.add(unavailable(), target="/blobs/", times=2)
    assert read_all(open_at()) == DATA


def test_a_registry_that_stays_away(front: FaultyProxy, open_at: Open, limits: Limits) -> None:
    front.add(Drop(1_000_000), target="/blobs/")
    front.add(unavailable(), target="/blobs/", times=None)
    reader = open_at()
    with pytest.raises(Unavailable, match="status 503"):
        read_all(reader)
    reader.close()
    assert len(ranges(front)) == 1 + limits.attempts


def test_a_registry_that_drops_at_every_step_is_given_up(
    front: FaultyProxy, open_at: Open, limits: Limits
) -> None:
    front.add(Drop(1000), target="/blobs/", times=None)
    reader = open_at()
    with pytest.raises(Unavailable):
        read_all(reader)
    reader.close()
    assert len(ranges(front)) == limits.attempts


def test_progress_earns_patience(front: FaultyProxy, open_at: Open) -> None:
    """More breaks than attempts, but with a mebibyte between them."""
    front.add(Drop(1 << 20 | 1), target="/blobs/", times=None)
    assert read_all(open_at(attempts=2)) == DATA


def test_a_stream_says_where_it_is(open_at: Open) -> None:
    reader = open_at()
    reader.read(10)
    assert repr(reader) == f"BlobStream('the blob', at 10 of {len(DATA)})"
    reader.close()
    reader.close()

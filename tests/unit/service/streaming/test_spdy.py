"""SPDY/3.1 as bytes: what a client does and what it is answered, and what hostile ones may cost."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carob.service.streaming.spdy import headers as blocks
from carob.service.streaming.spdy.connection import MOST_STREAMS, Connection
from carob.service.streaming.spdy.dictionary import DICTIONARY
from carob.service.streaming.spdy.events import DataReceived, StreamOpened, StreamReset, WentAway
from carob.service.streaming.spdy.failures import GoAwayStatus, ProtocolError, ResetStatus
from carob.service.streaming.spdy.frames import MOST_CONTROL_BYTES
from tests.unit.service.streaming import spdy_client as client
from tests.unit.service.streaming.spdy_client import DATA, FIN, SpdyClient

NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
VALUES = st.text(st.characters(min_codepoint=0, max_codepoint=126), max_size=50)


def opened(headers: dict[str, str] | None = None, flags: int = 0) -> tuple[Connection, SpdyClient, int]:
    """A connection with one stream."""
    connection, peer = Connection(), SpdyClient()
    stream_id, data = peer.open(headers or {"streamtype": "data"}, flags)
    (event,) = connection.receive(data)
    assert isinstance(event, StreamOpened)
    connection.reply(stream_id)
    assert [frame[:3] for frame in peer.receive(connection.take())] == [(client.SYN_REPLY, 0, stream_id)]
    return connection, peer, stream_id


def refused(connection: Connection, data: bytes) -> tuple[int, ...]:
    """The peer is sent away for this: the numbers of GOAWAY."""
    with pytest.raises(ProtocolError):
        connection.receive(data)
    frames = SpdyClient().receive(connection.take())
    kind, _, last, rest = frames[-1]
    assert kind == client.GOAWAY
    return last, *struct.unpack(">I", rest)


def test_dictionary_is_the_specifications() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)
    assert DICTIONARY == client.DICTIONARY


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=6), max_size=6))
def test_headers_of_stream_after_stream_arrive(several: list[dict[str, str]]) -> None:
    connection, peer = Connection(), SpdyClient()
    for headers in several:
        (event,) = connection.receive(peer.open(headers)[1])
        assert isinstance(event, StreamOpened)
        assert event.headers == headers


@given(st.binary(max_size=2000), st.lists(st.integers(1, 40), min_size=1), st.booleans())
def test_cuts_between_reads_change_nothing(data: bytes, cuts: list[int], ends: bool) -> None:
    connection, peer = Connection(), SpdyClient()
    stream_id, sent = peer.open({"streamtype": "stdin"})
    sent += client.words(client.PING, 1) + peer.data(stream_id, data) + peer.data(stream_id, b"", FIN * ends)
    events: list[Any] = []
    position = 0
    while position < len(sent):
        size = cuts[position % len(cuts)]
        events += connection.receive(sent[position : position + size])
        position += size
    got = [event for event in events if isinstance(event, DataReceived)]
    assert b"".join(event.data for event in got) == data
    assert [event.has_ended for event in got if event.has_ended] == [True] * ends
    assert client.words(client.PING, 1) in connection.take()


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_noise_is_answered_or_refused_and_nothing_else(noise: bytes) -> None:
    connection, peer, _ = opened()
    try:
        connection.receive(noise)
    except ProtocolError:
        assert peer.receive(connection.take())[-1][0] == client.GOAWAY


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3), st.binary(max_size=40)), max_size=8))
def test_frames_with_any_content_are_answered_or_refused(frames: list[tuple[int, int, bytes]]) -> None:
    connection, _, _ = opened()
    try:
        for kind, flags, payload in frames:
            connection.receive(client.control(kind, payload, flags))
    except ProtocolError:
        pass
    connection.take()


def test_both_sides_end_and_the_stream_is_over() -> None:
    connection, peer, stream_id = opened()
    connection.send(stream_id, b"answer")
    connection.finish(stream_id)
    assert peer.receive(connection.take()) == [(DATA, 0, stream_id, b"answer"), (DATA, FIN, stream_id, b"")]
    assert not connection.is_open(stream_id)
    (event,) = connection.receive(peer.data(stream_id, b"last", FIN))
    assert isinstance(event, DataReceived)
    assert (event.data, event.has_ended) == (b"last", True)
    connection.send(stream_id, b"too late")
    connection.finish(stream_id)
    connection.reset(stream_id, ResetStatus.CANCEL)
    assert connection.take() == b""
    assert connection.receive(peer.data(stream_id, b"late")) == []  # it was over: no fault of the connection


def test_reset_ends_both_sides() -> None:
    connection, _, stream_id = opened()
    (event,) = connection.receive(client.words(client.RST_STREAM, stream_id, 5))
    assert isinstance(event, StreamReset)
    assert (event.stream_id, event.status) == (stream_id, ResetStatus.CANCEL)
    connection.send(stream_id, b"nobody is there")
    assert connection.take() == b""
    assert connection.receive(client.words(client.RST_STREAM, stream_id, 5)) == []


def test_data_after_the_end_resets_the_stream() -> None:
    connection, peer, stream_id = opened(flags=FIN)
    (event,) = connection.receive(peer.data(stream_id, b"more"))
    assert isinstance(event, StreamReset)
    status = struct.pack(">I", ResetStatus.STREAM_ALREADY_CLOSED)
    assert peer.receive(connection.take()) == [(client.RST_STREAM, 0, stream_id, status)]


def test_pings_are_answered_but_not_answers() -> None:
    connection = Connection()
    assert connection.receive(client.words(client.PING, 7) + client.words(client.PING, 8)) == []
    assert connection.take() == client.words(client.PING, 7)


def test_goodbye_is_told() -> None:
    connection = Connection()
    (event,) = connection.receive(client.words(client.GOAWAY, 0, 2))
    assert isinstance(event, WentAway)
    assert event.status == GoAwayStatus.INTERNAL_ERROR


def test_after_our_goodbye_streams_are_refused() -> None:
    connection, peer, stream_id = opened()
    connection.go_away()
    connection.go_away()
    assert peer.receive(connection.take()) == [(client.GOAWAY, 0, stream_id, bytes(4))]
    later, data = peer.open({})
    assert connection.receive(data) == []
    refusal = (client.RST_STREAM, 0, later, struct.pack(">I", ResetStatus.REFUSED_STREAM))
    assert peer.receive(connection.take()) == [refusal]


def test_what_is_unknown_is_passed_over() -> None:
    connection, peer, _ = opened()
    assert connection.receive(client.control(10, b"credential") + client.control(77, b"")) == []
    assert (
        connection.receive(client.control(client.HEADERS, struct.pack(">I", 1) + peer.block({"a": "b"})))
        == []
    )
    (event,) = connection.receive(peer.open({"streamtype": "error"})[1])
    assert isinstance(event, StreamOpened)


def test_headers_can_end_a_stream() -> None:
    connection, peer, stream_id = opened()
    frame = client.control(client.HEADERS, struct.pack(">I", stream_id) + peer.block({}), FIN)
    (event,) = connection.receive(frame)
    assert isinstance(event, DataReceived)
    assert event.has_ended


# -- windows


def test_a_peer_that_keeps_no_windows_gets_all_at_once() -> None:
    connection, peer, stream_id = opened()
    connection.send(stream_id, bytes(1_000_000))
    assert sum(len(frame[3]) for frame in peer.receive(connection.take())) == 1_000_000
    assert not connection.is_blocked()


def test_a_peer_that_keeps_windows_gets_what_they_hold() -> None:
    connection, peer, stream_id = opened()
    setting = struct.pack(">III", 1, 7, 1000)
    connection.receive(client.control(client.SETTINGS, setting))
    connection.send(stream_id, bytes(1500))
    connection.finish(stream_id)
    assert [(kind, flags, len(data)) for kind, flags, _, data in peer.receive(connection.take())] == [
        (DATA, 0, 1000)
    ]
    assert connection.is_blocked()
    connection.receive(client.words(client.WINDOW_UPDATE, stream_id, 400))
    connection.receive(client.words(client.WINDOW_UPDATE, stream_id, 400))
    frames = peer.receive(connection.take())
    assert [(flags, len(data)) for _, flags, _, data in frames] == [(0, 400), (0, 100), (FIN, 0)]
    assert not connection.is_blocked()


@given(
    st.lists(
        st.one_of(
            st.integers(1, 3000).map(lambda n: ("send", n)), st.integers(1, 3000).map(lambda n: ("open", n))
        )
    )
)
def test_no_window_is_ever_overdrawn(steps: list[tuple[str, int]]) -> None:
    connection, peer, stream_id = opened()
    connection.receive(client.control(client.SETTINGS, struct.pack(">III", 1, 7, 100)))
    room, asked, got = 100, 0, 0
    for step, count in steps:
        if step == "send":
            connection.send(stream_id, bytes(count))
            asked += count
        else:
            room += count
            connection.receive(client.words(client.WINDOW_UPDATE, stream_id, count))
            connection.receive(client.words(client.WINDOW_UPDATE, 0, count))
        got += sum(len(frame[3]) for frame in peer.receive(connection.take()))
        assert got == min(room, asked)


def test_windows_here_open_as_data_is_used_up() -> None:
    connection, peer, stream_id = opened()
    connection.receive(peer.data(stream_id, bytes(40_000)))
    assert connection.take() == b""
    connection.acknowledge(stream_id, 40_000)
    update = struct.pack(">I", 40_000)
    assert sorted(peer.receive(connection.take())) == [
        (client.WINDOW_UPDATE, 0, 0, update),
        (client.WINDOW_UPDATE, 0, stream_id, update),
    ]


def test_windows_beyond_bounds() -> None:
    connection, _, stream_id = opened()
    (event,) = connection.receive(client.words(client.WINDOW_UPDATE, stream_id, 0x7FFFFFFF))
    assert isinstance(event, StreamReset)
    assert event.status == ResetStatus.FLOW_CONTROL_ERROR
    assert connection.receive(client.words(client.WINDOW_UPDATE, stream_id, 1)) == []  # it is over
    refused(connection, client.words(client.WINDOW_UPDATE, 0, 0x7FFFFFFF))
    refused(Connection(), client.words(client.WINDOW_UPDATE, 0, 0))
    refused(Connection(), client.control(client.SETTINGS, struct.pack(">III", 1, 7, 0xFFFFFFFF)))


# -- hostile peers


def test_header_bombs_are_refused_before_they_go_off(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = SpdyClient()
    bomb = peer.compressed(struct.pack(">III", 1, 1, 0x61) + bytes(10_000_000))
    assert len(bomb) < MOST_CONTROL_BYTES
    inflated = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self, zdict: bytes) -> None:
            self.real = real(zdict=zdict)

        def decompress(self, data: bytes, most: int) -> bytes:
            plain = self.real.decompress(data, most)
            inflated.append(len(plain))
            return plain

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    assert refused(Connection(), peer.syn(1, bomb)) == (0, GoAwayStatus.PROTOCOL_ERROR)
    assert inflated == [blocks.MOST_BYTES + 1]


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        struct.pack(">I", 1),
        struct.pack(">I", 0xFFFFFFFF),
        struct.pack(">II", 1, 0xFFFFFFFF),
        struct.pack(">II", 0, 0),
        struct.pack(">III", 1, 0, 0),
        struct.pack(">II", 1, 1) + b"A" + struct.pack(">I", 0),
        struct.pack(">II", 2, 1) + b"a" + struct.pack(">II", 0, 1) + b"a" + struct.pack(">I", 0),
    ],
)
def test_a_bad_block_costs_its_stream_only(plain: bytes) -> None:
    connection, peer = Connection(), SpdyClient()
    assert connection.receive(peer.syn(1, peer.compressed(plain))) == []
    reset = (client.RST_STREAM, 0, 1, struct.pack(">I", ResetStatus.PROTOCOL_ERROR))
    assert peer.receive(connection.take()) == [reset]
    (event,) = connection.receive(peer.syn(3, peer.block({"a": "b"})))
    assert isinstance(event, StreamOpened)


@pytest.mark.parametrize(
    "frame",
    [
        client.control(client.SYN_STREAM, b"short"),
        client.control(client.SYN_STREAM, bytes(10) + b"no zlib"),
        client.control(client.HEADERS, b"abc"),
        client.control(client.PING, b""),
        client.control(client.PING, bytes(8)),
        client.control(client.RST_STREAM, bytes(4)),
        client.control(client.GOAWAY, bytes(12)),
        client.control(client.WINDOW_UPDATE, bytes(4)),
        client.control(client.SETTINGS, struct.pack(">I", 0xFFFFFFFF)),
        client.control(client.SETTINGS, b""[:0] + bytes(9)),
        client.control(client.PING, bytes(4), version=2),
        struct.pack(">HHI", 0x8003, client.SYN_STREAM, MOST_CONTROL_BYTES + 1),
        SpdyClient().data(0, b"stream zero"),
        SpdyClient().data(2, b"one of ours"),
        SpdyClient().data(99, b"never opened"),
    ],
)
def test_what_no_client_does_ends_the_connection(frame: bytes) -> None:
    assert refused(Connection(), frame)[1] == GoAwayStatus.PROTOCOL_ERROR


def test_a_zlib_stream_that_ends_is_refused() -> None:
    ended = zlib.compressobj(zdict=DICTIONARY)
    refused(Connection(), SpdyClient().syn(1, ended.compress(bytes(4)) + ended.flush()))


def test_stream_ids_do_not_go_back() -> None:
    connection, peer = Connection(), SpdyClient()
    connection.receive(peer.syn(5, peer.block({})))
    (event,) = connection.receive(peer.syn(5, peer.block({})))
    assert isinstance(event, StreamReset)  # whose stream it is is anybody's guess
    assert connection.receive(peer.syn(3, peer.block({}))) == []
    resets = [frame[:3] for frame in peer.receive(connection.take())]
    assert resets == [(client.RST_STREAM, 0, 5), (client.RST_STREAM, 0, 3)]
    refused(connection, peer.syn(8, peer.block({})))


def test_a_flood_of_streams_is_refused() -> None:
    connection, peer = Connection(), SpdyClient()
    events = [connection.receive(peer.open({})[1]) for _ in range(MOST_STREAMS + 10)]
    assert sum(map(len, events)) == MOST_STREAMS
    assert len(peer.receive(connection.take())) == 10


def test_data_is_not_held_until_its_frame_is_whole() -> None:
    connection, _, stream_id = opened()
    head = struct.pack(">II", stream_id, FIN << 24 | 0xFFFFFF)
    assert connection.receive(head) == []
    for _ in range(0xFFFFFF // 65535):
        (event,) = connection.receive(bytes(65535))
        assert isinstance(event, DataReceived)
        assert len(event.data) == 65535
    rest = 0xFFFFFF % 65535
    assert not event.has_ended or not rest
    if rest:
        (event,) = connection.receive(bytes(rest))
        assert isinstance(event, DataReceived)
    assert event.has_ended

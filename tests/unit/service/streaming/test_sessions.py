"""Exec, attach and port-forward as sessions: the same events whichever protocol the client speaks."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from carob.errors import InvalidInput
from carob.service.streaming import events as told
from carob.service.streaming.channel_command import ChannelCommand
from carob.service.streaming.channel_forward import ChannelForward
from carob.service.streaming.sizes import SizeReader
from carob.service.streaming.spdy_command import SpdyCommand
from carob.service.streaming.spdy_forward import SpdyForward
from carob.service.streaming.status import Outcome
from carob.service.streaming.tunnel import TunnelForward
from carob.service.streaming.wanted import Wanted
from tests.unit.service.streaming import spdy_client as client
from tests.unit.service.streaming.spdy_client import DATA, FIN, SpdyClient

PIPES = Wanted(stdin=True, stdout=True, stderr=True, tty=False)
TERMINAL = Wanted(stdin=True, stdout=True, stderr=False, tty=True)
OUTPUT = Wanted(stdin=False, stdout=True, stderr=False, tty=False)
SUCCESS = {"metadata": {}, "status": "Success"}


def shown(events: list[Any]) -> list[tuple[Any, ...]]:
    """Events as tuples: the kind's name and what is in them."""
    return [(type(one).__name__, *(getattr(one, name) for name in one.__slots__)) for one in events]


def exec_over_spdy(
    protocol: str, wanted: Wanted, kinds: list[str]
) -> tuple[SpdyCommand, SpdyClient, dict[str, int]]:
    session, peer, streams = SpdyCommand(protocol, wanted), SpdyClient(), {}
    assert session.begin() == []
    for kind in kinds:
        streams[kind], data = peer.open({"streamtype": kind})
        events = session.receive(data)
        assert shown(events) == [("Began",)] * (kind == kinds[-1])
    replies = [frame[:3] for frame in peer.receive(session.take())]
    assert replies == [(client.SYN_REPLY, 0, stream_id) for stream_id in streams.values()]
    return session, peer, streams


class WebSocketClient:
    """Messages in and out, as (kind, content)."""

    def __init__(self) -> None:
        self.connection = Connection(ConnectionType.CLIENT)

    def bytes(self, channel: int, data: bytes) -> bytes:
        return self.connection.send(BytesMessage(data=bytes((channel,)) + data))

    def receive(self, data: bytes) -> list[tuple[str, Any]]:
        self.connection.receive_data(data)
        got: list[tuple[str, Any]] = []
        for event in self.connection.events():
            if isinstance(event, (BytesMessage, TextMessage)):
                got.append(("message", event.data if isinstance(event.data, str) else bytes(event.data)))
            elif isinstance(event, CloseConnection):
                got.append(("close", int(event.code)))
            elif isinstance(event, Pong):
                got.append(("pong", bytes(event.payload)))
        return got


# -- exec and attach over SPDY


def test_spdy_exec_from_streams_to_status() -> None:
    session, peer, streams = exec_over_spdy(
        "v4.channel.k8s.io", PIPES, ["error", "stdin", "stdout", "stderr"]
    )
    sent = peer.data(streams["stdin"], b"in") + peer.data(streams["stdin"], b"", FIN)
    assert shown(session.receive(sent)) == [("Input", b"in"), ("InputEnded",)]
    session.stdout(b"out")
    session.stderr(b"err")
    session.end(Outcome(3))
    frames = peer.receive(session.take())
    assert frames[:2] == [(DATA, 0, streams["stdout"], b"out"), (DATA, 0, streams["stderr"], b"err")]
    status = json.loads(next(data for _, _, stream_id, data in frames if stream_id == streams["error"]))
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    assert {stream_id for _, flags, stream_id, _ in frames if flags == FIN} == set(streams.values())


def test_spdy_terminal_has_sizes_wherever_they_are_cut() -> None:
    session, peer, streams = exec_over_spdy(
        "v3.channel.k8s.io", TERMINAL, ["error", "stdin", "stdout", "resize"]
    )
    text = b'{"Width":80,"Height":24}\n{"Width":132,"Height":43}\n'
    events = []
    for byte in text:
        events += session.receive(peer.data(streams["resize"], bytes((byte,))))
    assert [(event.rows, event.columns) for event in events] == [(24, 80), (43, 132)]


def test_old_spdy_has_no_sizes_and_says_errors_in_words() -> None:
    session, peer, streams = exec_over_spdy("", TERMINAL, ["error", "stdin", "stdout"])
    session.end(Outcome(7))
    said = [data for _, _, stream_id, data in peer.receive(session.take()) if stream_id == streams["error"]]
    assert b"".join(said) == b"command terminated with non-zero exit code: exit status 7"
    session, peer, streams = exec_over_spdy("channel.k8s.io", OUTPUT, ["stdout", "error"])
    session.end(Outcome(0))
    assert all(not data for _, _, _, data in peer.receive(session.take()))


def test_spdy_streams_of_no_use_are_refused() -> None:
    session, peer, _ = exec_over_spdy("v4.channel.k8s.io", OUTPUT, ["error", "stdout"])
    for headers in ({"streamtype": "stdout"}, {"streamtype": "sound"}, {}):
        stream_id, data = peer.open(headers)
        assert session.receive(data) == []
        assert peer.receive(session.take())[0][:3] == (client.RST_STREAM, 0, stream_id)


def test_spdy_client_leaves() -> None:
    session, peer, streams = exec_over_spdy(
        "v4.channel.k8s.io", PIPES, ["error", "stdin", "stdout", "stderr"]
    )
    assert shown(session.receive(client.words(client.RST_STREAM, streams["stdin"], 5))) == [("InputEnded",)]
    assert shown(session.receive(client.words(client.GOAWAY, 0, 0))) == [("Left",)]
    assert shown(session.receive(client.words(client.PING, 1, 2))) == [("Left",)]  # no PING is so long
    assert peer.receive(session.take())[-1][0] == client.GOAWAY


# -- exec and attach over WebSocket


def test_websocket_exec_from_begin_to_status() -> None:
    session, peer = ChannelCommand("v5.channel.k8s.io", PIPES), WebSocketClient()
    assert shown(session.begin()) == [("Began",)]
    assert peer.receive(session.take()) == [("message", b"\1")]
    sent = peer.bytes(0, b"in") + peer.bytes(4, b'{"Width":80,"Height":24}') + peer.bytes(255, b"\0")
    assert shown(session.receive(sent)) == [("Input", b"in"), ("Resized", 80, 24), ("InputEnded",)]
    session.stdout(b"out")
    session.stderr(b"err")
    session.end(Outcome(0))
    *messages, close = peer.receive(session.take())
    assert messages[:2] == [("message", b"\1out"), ("message", b"\2err")]
    assert messages[2][1][:1] == b"\3"
    assert json.loads(messages[2][1][1:]) == SUCCESS
    assert close == ("close", 1000)


def test_before_version_5_channel_255_is_nothing() -> None:
    session, peer = ChannelCommand("v4.channel.k8s.io", PIPES), WebSocketClient()
    assert session.receive(peer.bytes(255, b"\0")) == []


def test_websocket_input_that_nobody_asked_for_is_nothing() -> None:
    session, peer = ChannelCommand("v4.channel.k8s.io", OUTPUT), WebSocketClient()
    session.begin()
    session.stderr(b"nobody hears")
    assert peer.receive(session.take()) == [("message", b"\1")]
    assert session.receive(peer.bytes(0, b"in") + peer.bytes(77, b"x") + peer.bytes(0, b"")) == []


@given(st.binary(min_size=1, max_size=300), st.integers(1, 50), st.integers(1, 50))
def test_websocket_messages_may_come_in_any_pieces(data: bytes, fragment: int, cut: int) -> None:
    session, peer = ChannelCommand("v4.channel.k8s.io", PIPES), WebSocketClient()
    whole, sent = b"\0" + data, b""
    for start in range(0, len(whole), fragment):
        last = start + fragment >= len(whole)
        sent += peer.connection.send(
            BytesMessage(data=whole[start : start + fragment], message_finished=last)
        )
    events: list[Any] = []
    for start in range(0, len(sent), cut):
        events += session.receive(sent[start : start + cut])
    assert b"".join(event.data for event in events) == data


def test_base64_protocol_is_text() -> None:
    session, peer = ChannelCommand("v4.base64.channel.k8s.io", PIPES), WebSocketClient()
    session.begin()
    session.stdout(b"\xff\0")
    assert peer.receive(session.take()) == [("message", "1"), ("message", "1/wA=")]
    text = "0" + base64.b64encode(b"in").decode()
    sent = peer.connection.send(TextMessage(data=text[:2], message_finished=False))
    sent += peer.connection.send(TextMessage(data=text[2:]))
    assert shown(session.receive(sent)) == [("Input", b"in")]


@pytest.mark.parametrize(
    ("protocol", "message", "code"),
    [
        ("v4.base64.channel.k8s.io", TextMessage(data="0not base64"), 1007),
        ("v4.base64.channel.k8s.io", TextMessage(data="0\N{SNOWMAN}"), 1007),
        ("v4.base64.channel.k8s.io", BytesMessage(data=b"0"), 1003),
        ("v4.channel.k8s.io", TextMessage(data="0in"), 1003),
        ("v4.base64.channel.k8s.io", TextMessage(data="0" * 1_100_000), 1009),
    ],
)
def test_messages_of_the_wrong_kind_end_it(protocol: str, message: Any, code: int) -> None:
    session, peer = ChannelCommand(protocol, PIPES), WebSocketClient()
    assert shown(session.receive(peer.connection.send(message))) == [("Left",)]
    assert peer.receive(session.take()) == [("close", code)]
    assert session.receive(b"whatever comes then") == []


def test_websocket_pings_and_close_are_answered() -> None:
    session, peer = ChannelCommand("v4.channel.k8s.io", PIPES), WebSocketClient()
    assert session.receive(peer.connection.send(Ping(payload=b"there?"))) == []
    assert peer.receive(session.take()) == [("pong", b"there?")]
    assert shown(session.receive(peer.connection.send(CloseConnection(code=1000)))) == [("Left",)]
    assert peer.receive(session.take()) == [("close", 1000)]
    session.stdout(b"too late")
    session.end(Outcome(0))
    assert session.take() == b""


@given(st.binary(max_size=300))
def test_websocket_noise_is_passed_over_or_ends_it(noise: bytes) -> None:
    session = ChannelCommand("v5.channel.k8s.io", PIPES)
    session.begin()
    session.receive(noise)
    session.end(Outcome(0))
    session.take()


# -- port-forward


def pair(peer: SpdyClient, request: str, port: str = "8080") -> tuple[int, int, bytes]:
    error, first = peer.open({"streamtype": "error", "port": port, "requestid": request}, FIN)
    data, second = peer.open({"streamtype": "data", "port": port, "requestid": request})
    return error, data, first + second


def test_spdy_forward_from_pair_to_end() -> None:
    session, peer = SpdyForward(), SpdyClient()
    assert session.begin() == []
    error, data, sent = pair(peer, "0")
    assert shown(session.receive(sent)) == [("ForwardBegan", data, 8080)]
    peer.receive(session.take())
    sent = peer.data(data, b"in") + peer.data(data, b"", FIN)
    assert shown(session.receive(sent)) == [("ForwardInput", b"in", data), ("ForwardInputEnded", data)]
    session.output(data, b"out")
    session.output_ended(data)
    session.end(data)
    assert peer.receive(session.take()) == [
        (DATA, 0, data, b"out"),
        (DATA, FIN, data, b""),
        (DATA, FIN, error, b""),
    ]
    assert shown(session.receive(pair(peer, "0")[2])) == [("ForwardBegan", data + 4, 8080)]  # used again


def test_spdy_forward_says_what_failed() -> None:
    session, peer = SpdyForward(), SpdyClient()
    error, data, sent = pair(peer, "a")
    session.receive(sent)
    peer.receive(session.take())
    session.end(data, "nobody listens")
    assert (DATA, 0, error, b"nobody listens") in peer.receive(session.take())


def test_old_clients_number_no_requests() -> None:
    session, peer = SpdyForward(), SpdyClient()
    error, first = peer.open({"streamtype": "error", "port": "80"})
    data, second = peer.open({"streamtype": "data", "port": "80"})
    session.receive(first + second)
    peer.receive(session.take())
    session.end(data, "no")
    assert (DATA, 0, error, b"no") in peer.receive(session.take())


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "8o", "\u0661", "000000080"])
def test_what_is_no_port_is_refused(port: str) -> None:
    session, peer = SpdyForward(), SpdyClient()
    assert (
        session.receive(peer.open({"streamtype": "data", "port": port.encode().decode("latin-1")})[1]) == []
    )
    assert peer.receive(session.take())[0][0] == client.RST_STREAM


def test_spdy_forward_is_dropped_one_by_one_or_whole() -> None:
    session, peer = SpdyForward(), SpdyClient()
    _, data, sent = pair(peer, "0")
    session.receive(sent)
    assert shown(session.receive(client.words(client.RST_STREAM, data, 5))) == [("ForwardDropped", data)]
    assert shown(session.receive(client.words(client.GOAWAY, 0, 0))) == [("Left",)]


def test_streams_that_are_opened_and_given_up_for_ever_leave_nothing() -> None:
    session, peer = SpdyForward(), SpdyClient()
    for number in range(1000):
        error, data, sent = pair(peer, str(number))
        gone = client.words(client.RST_STREAM, error, 5) + client.words(client.RST_STREAM, data, 5)
        assert shown(session.receive(sent + gone)) == [("ForwardBegan", data, 8080), ("ForwardDropped", data)]
        session.end(data)
        session.take()
    held = vars(session)
    assert not held["_errors"]
    assert not held["_requests"]


def test_tunnel_is_spdy_in_binary_messages_cut_anywhere() -> None:
    session, peer, socket = TunnelForward(), SpdyClient(), WebSocketClient()
    _, data, sent = pair(peer, "0")
    sent += peer.data(data, b"in")
    events = []
    for start in range(0, len(sent), 7):
        events += session.receive(socket.connection.send(BytesMessage(data=sent[start : start + 7])))
    assert shown(events)[0] == ("ForwardBegan", data, 8080)
    assert b"".join(event.data for event in events if isinstance(event, told.ForwardInput)) == b"in"
    messages = socket.receive(session.take())
    frames = peer.receive(b"".join(content for _, content in messages))
    assert [frame[0] for frame in frames] == [client.SYN_REPLY, client.SYN_REPLY]
    session.end_all()
    *_, close = socket.receive(session.take())
    assert close == ("close", 1000)


def test_tunnel_takes_no_text() -> None:
    session, socket = TunnelForward(), WebSocketClient()
    assert shown(session.receive(socket.connection.send(TextMessage(data="x")))) == [("Left",)]
    assert socket.receive(session.take()) == [("close", 1003)]


def test_websocket_forward_has_channels_for_each_port() -> None:
    session, socket = ChannelForward("v4.channel.k8s.io", [80, 443]), WebSocketClient()
    assert shown(session.begin()) == [("ForwardBegan", 0, 80), ("ForwardBegan", 2, 443)]
    ports = [struct.pack("<BH", channel, port) for channel, port in ((0, 80), (1, 80), (2, 443), (3, 443))]
    assert socket.receive(session.take()) == [("message", content) for content in ports]
    sent = socket.bytes(2, b"in") + socket.bytes(1, b"to an error stream") + socket.bytes(9, b"x")
    assert shown(session.receive(sent)) == [("ForwardInput", b"in", 2)]
    session.output(2, b"out")
    session.end(2)
    session.end(0, "nobody listens")
    got = socket.receive(session.take())
    assert got == [("message", b"\2out"), ("message", b"\1nobody listens"), ("close", 1000)]


# -- what they are made of


@pytest.mark.parametrize(
    ("outcome", "document"),
    [
        (Outcome(0), SUCCESS),
        (
            Outcome(None, "no such app"),
            {
                "metadata": {},
                "status": "Failure",
                "message": "Internal error occurred: no such app",
                "reason": "InternalError",
                "code": 500,
                "details": {"causes": [{"message": "no such app"}]},
            },
        ),
    ],
)
def test_status_documents(outcome: Outcome, document: dict[str, object]) -> None:
    assert json.loads(outcome.document()) == document


@given(st.lists(st.binary(max_size=2000), max_size=5))
def test_what_is_no_size_is_passed_over(pieces: list[bytes]) -> None:
    reader = SizeReader()
    for piece in pieces:
        for size in reader.read(piece):
            assert 0 < size.rows <= 65535
            assert 0 < size.columns <= 65535
    assert shown(reader.read(b'}{"Width":1,"Height":2}')) == [("Resized", 1, 2)]


@pytest.mark.parametrize(
    "text", [b'{"Width":0,"Height":1}', b'{"Width":65536,"Height":1}', b"[1}", b'{"Width":1}']
)
def test_bad_sizes(text: bytes) -> None:
    assert SizeReader().read(text) == []


def test_streams_that_cannot_be_asked_for() -> None:
    with pytest.raises(InvalidInput, match="one output"):
        Wanted(stdin=True, stdout=True, stderr=True, tty=True)
    with pytest.raises(InvalidInput, match="none of"):
        Wanted(stdin=False, stdout=False, stderr=False, tty=False)

"""The request of a connection and its answer; and the URLs for which one comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import InvalidInput, OutOfResources
from carob.service.streaming import protocols, requests
from carob.service.streaming.handshake import Handshake, Refusal
from carob.service.streaming.protocols import Transport
from carob.service.streaming.requests import AttachRequest, ExecRequest, ForwardRequest, Waiting
from carob.service.streaming.wanted import Wanted

OUTPUT = Wanted(stdin=False, stdout=True, stderr=False, tty=False)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, 1.3


def request(method: str = "POST", path: str = "/exec/x", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def websocket(protocol: str, **changes: str) -> bytes:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    headers |= {"Sec_WebSocket_Key": KEY, "Sec_WebSocket_Protocol": protocol, **changes}
    return request("GET", **headers)


def asked(data: bytes) -> Handshake:
    handshake = Handshake()
    assert handshake.receive(data) == "/exec/x"
    return handshake


def chosen(data: bytes) -> tuple[Transport, str, bytes, bytes]:
    handshake = asked(data)
    upgrade = handshake.choose(protocols.COMMAND_SPDY, protocols.COMMAND_WEBSOCKET)
    return upgrade.transport, upgrade.protocol, *handshake.switch(upgrade)


def refusal(data: bytes) -> bytes:
    handshake = Handshake()
    try:
        handshake.receive(data)
        handshake.choose(protocols.COMMAND_SPDY, protocols.COMMAND_WEBSOCKET)
    except Refusal as refused:
        return handshake.refuse(refused)
    return b""


def test_spdy_as_gos_client_asks_for_it() -> None:
    data = request(
        Connection="Upgrade",
        Upgrade="SPDY/3.1",
        X_Stream_Protocol_Version="v9.channel.k8s.io, v4.channel.k8s.io, v3.channel.k8s.io",
        Content_Length="0",
    )
    transport, protocol, answer, early = chosen(data + b"\x80\3 early")
    assert (transport, protocol, early) == (Transport.SPDY, "v4.channel.k8s.io", b"\x80\3 early")
    head, *lines = answer.decode().lower().split("\r\n")
    assert head.startswith("http/1.1 101 ")
    assert {"connection: upgrade", "upgrade: spdy/3.1", "x-stream-protocol-version: v4.channel.k8s.io"} <= {
        *lines
    }


def test_the_clients_order_counts_over_several_headers() -> None:
    line = b"X-Stream-Protocol-Version: v%d.channel.k8s.io\r\n"
    data = request(Connection="Upgrade", Upgrade="SPDY/3.1")[:-2] + line % 3 + line % 4 + b"\r\n"
    assert chosen(data)[1] == "v3.channel.k8s.io"


def test_websocket_handshake() -> None:
    transport, protocol, answer, _ = chosen(websocket("v9.channel.k8s.io, v5.channel.k8s.io"))
    assert (transport, protocol) == (Transport.WEBSOCKET, "v5.channel.k8s.io")
    assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert b"sec-websocket-protocol: v5.channel.k8s.io\r\n" in answer


def test_clients_that_ask_for_no_protocol() -> None:
    assert chosen(request(Connection="Upgrade", Upgrade="SPDY/3.1"))[1] == ""
    assert chosen(request("GET", Connection="keep-alive, Upgrade", Upgrade="SPDY/3.1"))[1] == ""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(), 400),
        (request(Connection="Upgrade", Upgrade="h2c"), 400),
        (request(Upgrade="SPDY/3.1"), 400),
        (request("PUT"), 405),
        (request(Content_Length="4") + b"body", 413),
        (request(Connection="Upgrade", Upgrade="SPDY/3.1", X_Stream_Protocol_Version="v9"), 403),
        (websocket("v9.channel.k8s.io"), 400),
        (websocket("v5.channel.k8s.io", Sec_WebSocket_Version="8"), 426),
        (websocket("v5.channel.k8s.io", Sec_WebSocket_Key=""), 400),
        (b"\x80\3\0\1 no HTTP at all\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000, 431),
    ],
)
def test_refusals(data: bytes, status: int) -> None:
    assert refusal(data).startswith(f"HTTP/1.1 {status} ".encode())


def test_who_speaks_another_version_is_told_which_are_spoken() -> None:
    answer = refusal(request(Connection="Upgrade", Upgrade="SPDY/3.1", X_Stream_Protocol_Version="v9"))
    assert answer.count(b"x-accepted-stream-protocol-versions: ") == len(protocols.COMMAND_SPDY)


def test_a_request_may_come_in_pieces() -> None:
    handshake = Handshake()
    data = request(Connection="Upgrade", Upgrade="SPDY/3.1")
    assert [handshake.receive(data[at : at + 1]) for at in range(len(data))][-2:] == [None, "/exec/x"]


def test_who_says_nothing_is_refused() -> None:
    with pytest.raises(Refusal):
        Handshake().receive(b"")


@given(st.binary(min_size=1, max_size=200))
def test_noise_is_waited_out_or_refused(noise: bytes) -> None:
    handshake = Handshake()
    try:
        answer = handshake.receive(noise)
    except Refusal as refused:
        answer = handshake.refuse(refused).decode()
    assert answer is None or answer.startswith("HTTP/1.1 4")


# -- URLs


def test_a_token_is_good_once() -> None:
    waiting, asked_for = Waiting(), ExecRequest("pod", "app", ["true"], OUTPUT)
    path, other = waiting.add(asked_for), waiting.add(AttachRequest("pod", "app", OUTPUT))
    assert path.startswith("/exec/")
    assert len(path) >= len("/exec/") + 32
    assert other.startswith("/attach/")
    assert waiting.take(path + "x") is None
    assert waiting.take("/attach/" + path.rpartition("/")[2]) is None
    assert waiting.take(path) is asked_for
    assert waiting.take(path) is None


def test_a_token_is_good_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(requests, "monotonic", lambda: now[0])
    waiting = Waiting(lifetime_s=60, most=2)
    first = waiting.add(ForwardRequest("pod"))
    now[0] += 59
    second = waiting.add(ForwardRequest("pod"))
    with pytest.raises(OutOfResources, match="2 streams wait"):
        waiting.add(ForwardRequest("pod"))
    now[0] += 2
    assert waiting.take(first) is None
    assert waiting.take(second) is not None
    waiting.add(ForwardRequest("pod"))


def test_requests_that_cannot_be() -> None:
    with pytest.raises(InvalidInput, match="a command"):
        ExecRequest("pod", "app", [], OUTPUT)
    with pytest.raises(InvalidInput, match="70000 is no port"):
        ForwardRequest("pod", [80, 70000])

"""Servers that send by the drop, for ever, or what is no HTTP: none of them holds a reader."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from carob.errors import CarobError, CorruptData, TimedOut, Unavailable
from carob.image.registry.blob import BlobStream, begin_blob
from carob.image.registry.limits import Limits
from carob.image.registry.pace import Pace
from tests.unit.image.registry.conftest import Connect
from tests.unit.image.registry.images import describe
from tests.unit.image.registry.raw_server import Conversation, RawServer

Raw = Callable[..., RawServer]
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
DATA = bytes(1 << 20)
BLOB = describe(DATA)


def answering(speak: Callable[[Conversation], None]) -> Callable[[Conversation], None]:
    """Is a registry when it is looked for, and does its worst for everything else."""

    def answer(conversation: Conversation) -> None:
        if b"GET /v2/ HTTP" in conversation.request:
            conversation.send(OK)
        else:
            speak(conversation)

    return answer


@pytest.fixture
def quick(limits: Limits) -> Limits:
    return replace(limits, headers_s=0.5, document_s=1, stall_s=0.3, least_bytes_s=1000, attempts=2)


def drop_by_drop(before: bytes, text: bytes, pause_s: float = 0.1) -> Callable[[Conversation], None]:
    def speak(conversation: Conversation) -> None:
        conversation.send(before)
        conversation.trickle(text * 10_000, pause_s)

    return answering(speak)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (b"", b"HTTP"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 429 Slow\r\nContent-Length: 1000\r\n\r\n", b" "),
    ],
)
def test_a_document_that_comes_by_the_drop(
    raw_server: Raw, connect: Connect, quick: Limits, before: bytes, text: bytes
) -> None:
    server = raw_server(drop_by_drop(before, text))
    begun = time.monotonic()
    with pytest.raises((TimedOut, Unavailable)):
        connect(server.host, limits=quick).manifest("x", "latest")
    assert time.monotonic() - begun < 10
    assert len(server.requests) <= 4


@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        b"X-Header: y\r\n" * 1000,
        b"x" * 65536,
    ],
)
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_headers_without_end(
    raw_server: Raw, connect: Connect, quick: Limits, before: bytes, flood: bytes
) -> None:
    def speak(conversation: Conversation) -> None:
        conversation.send(before)
        while not conversation.closing.is_set():
            conversation.send(flood)

    server = raw_server(answering(speak))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    with pytest.raises((TimedOut, Unavailable, CorruptData)):
        connect(server.host, limits=quick).manifest("x", "latest")
    assert time.monotonic() - begun < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 64 << 10  # KiB


def test_trailers_without_end(raw_server: Raw, connect: Connect, quick: Limits) -> None:
    def speak(conversation: Conversation) -> None:
        conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
        while not conversation.closing.is_set():
            conversation.send(b"X-Trailer: y\r\n" * 1000)

    server = raw_server(answering(speak))
    begun = time.monotonic()
    with pytest.raises((TimedOut, Unavailable)):
        connect(server.host, limits=quick).manifest("x", "latest")
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x00" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 -200 OK\r\n\r\n",
        b"HTTP/1.1 99999999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffffff\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 100_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000,
        b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: \xff"\x00\r\nContent-Length: 0\r\n\r\n',
        b"HTTP/1.1 200 OK\r\nno colon at all\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Type: \xff\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"<html>hello</html>",
    ],
)
def test_what_is_no_answer_is_one_of_carobs_errors(
    raw_server: Raw, connect: Connect, quick: Limits, text: bytes
) -> None:
    server = raw_server(answering(lambda conversation: conversation.send(text)))
    client = connect(server.host, limits=quick)
    for call in (
        lambda: client.manifest("x", "latest"),
        lambda: client.head_manifest("x", "latest"),
        lambda: client.blob_document("x", describe(b"{}1")),
    ):
        with pytest.raises(CarobError) as caught:
            call()
        assert caught.value.message.isprintable()
        assert server.host in caught.value.message


@pytest.mark.parametrize("length", [b"-1", b"99999999999999999999999", b"1e3", b"0x10", b"", b"2, 2"])
def test_an_odd_length_ends_one_way_or_the_other(
    raw_server: Raw, connect: Connect, quick: Limits, length: bytes
) -> None:
    text = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n{}"
    server = raw_server(answering(lambda conversation: conversation.send(text)))
    try:
        _, data = connect(server.host, limits=quick).manifest("x", "latest")
    except CarobError:
        return
    assert data == b"{}"


# --- blobs ----------------------------------------------------------------------------------------


def stream(connect: Connect, host: str, limits: Limits) -> BlobStream:
    client = connect(host, limits=limits)
    return BlobStream(
        lambda offset: begin_blob(client, "x", BLOB, offset), BLOB, 0, name="the blob", limits=limits
    )


def read_all(reader: BlobStream) -> bytes:
    pieces = []
    while piece := reader.read(1 << 18):
        pieces.append(piece)
    return b"".join(pieces)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA)


def test_a_blob_that_comes_too_slowly(raw_server: Raw, connect: Connect, quick: Limits) -> None:
    server = raw_server(drop_by_drop(HEAD, b"x", 0.05))
    reader = stream(connect, server.host, quick)
    begun = time.monotonic()
    with pytest.raises(TimedOut, match="too slowly"):
        read_all(reader)
    reader.close()
    assert time.monotonic() - begun < 10
    ranges = [request for request in server.requests if b"Range: bytes=" in request]
    assert len(ranges) == 1  # it was asked for the rest once more


def test_a_blob_that_stalls(raw_server: Raw, connect: Connect, quick: Limits) -> None:
    def speak(conversation: Conversation) -> None:
        conversation.send(HEAD + DATA[:1000])
        conversation.closing.wait()

    reader = stream(connect, raw_server(answering(speak)).host, quick)
    assert len(reader.read(1 << 18)) > 0
    begun = time.monotonic()
    with pytest.raises(TimedOut):
        read_all(reader)
    reader.close()
    assert time.monotonic() - begun < 10


def test_a_slow_reader_is_not_the_servers_fault(raw_server: Raw, connect: Connect, quick: Limits) -> None:
    def speak(conversation: Conversation) -> None:
        conversation.send(HEAD + DATA)

    reader = stream(connect, raw_server(answering(speak)).host, replace(quick, attempts=1))
    reader.read(10)
    time.sleep(1)  # three times the stall limit
    assert len(read_all(reader)) == len(DATA) - 10
    reader.close()


def test_closing_from_another_thread_ends_a_read(raw_server: Raw, connect: Connect, limits: Limits) -> None:
    def speak(conversation: Conversation) -> None:
        conversation.send(HEAD + DATA[:1000])
        conversation.closing.wait()

    patient = replace(limits, stall_s=60)
    reader = stream(connect, raw_server(answering(speak)).host, patient)
    timer = threading.Timer(0.3, reader.close)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="given up"):
        read_all(reader)
    timer.join()
    assert time.monotonic() - begun < 10
    with pytest.raises(Unavailable, match="given up"):
        reader.read(1)
    reader.close()


def test_closing_ends_a_wait_between_attempts(raw_server: Raw, connect: Connect, limits: Limits) -> None:
    def speak(conversation: Conversation) -> None:
        conversation.send(HEAD + DATA[:1000])

    patient = replace(limits, first_wait_s=60, longest_wait_s=60)
    reader = stream(connect, raw_server(answering(speak)).host, patient)
    timer = threading.Timer(0.3, reader.close)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        read_all(reader)
    timer.join()
    assert time.monotonic() - begun < 10


def test_a_blob_longer_than_it_should_be_is_cut(raw_server: Raw, connect: Connect, quick: Limits) -> None:
    def speak(conversation: Conversation) -> None:
        conversation.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not conversation.closing.is_set():
            conversation.send(b"x" * 65536)

    reader = stream(connect, raw_server(answering(speak)).host, quick)
    assert read_all(reader) == b"x" * len(DATA)
    reader.close()


def test_a_blob_whose_length_is_wrong_is_refused(raw_server: Raw, connect: Connect, quick: Limits) -> None:
    for length in (len(DATA) - 1, len(DATA) + 1, 0, 1 << 60):
        text = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length
        server = raw_server(answering(lambda conversation, text=text: conversation.send(text + DATA)))
        with pytest.raises(CorruptData, match=f"sends {length} bytes, not {len(DATA)}"):
            stream(connect, server.host, quick)


def test_an_encoded_blob_is_handed_on_as_it_is(raw_server: Raw, connect: Connect, quick: Limits) -> None:
    import gzip

    bomb = gzip.compress(bytes(64 << 20))
    blob = describe(bomb)
    text = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    client = connect(raw_server(answering(lambda c: c.send(text + bomb))).host, limits=quick)
    reader = BlobStream(lambda offset: begin_blob(client, "x", blob, offset), blob, 0, name="b", limits=quick)
    assert read_all(reader) == bomb
    reader.close()


# --- the counting itself --------------------------------------------------------------------------


def test_pace_counts_only_time_spent_waiting() -> None:
    pace = Pace(Limits(stall_s=10, least_bytes_s=100))
    for _ in range(100):
        pace.arrived(1000, 1.0)
    pace.arrived(10, 4.0)
    pace.arrived(1, 4.0)
    with pytest.raises(TimeoutError):
        pace.arrived(1, 4.0)


def test_any_pace_will_do_where_none_is_asked() -> None:
    pace = Pace(Limits(stall_s=10, least_bytes_s=0))
    for _ in range(100):
        pace.arrived(0, 9.0)


def test_a_pace_that_is_cut_fails() -> None:
    pace = Pace(Limits())
    pace.cut()
    pace.cut()
    with pytest.raises(ConnectionAbortedError):
        pace.patience_s()

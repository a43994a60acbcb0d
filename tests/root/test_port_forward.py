"""Ports here that lead into pods without any network."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from carob import App, Engine, PodHandle
from carob.aio import Engine as AsyncEngine
from carob.errors import Conflict, InvalidInput, Unavailable
from tests.root import host_view

# What is said to it comes back, the end of the input before the end of the output.
ECHO = "nc -ll -p 7 -e cat & nc -ll -p 8 -e sh -c 'cat >/tmp/got; echo told; cat /tmp/got' & wait"


@pytest.fixture
def pod(engine: Engine) -> Iterator[PodHandle]:
    with engine.run(App("busybox", ["sh", "-c", ECHO])) as running:
        listening = "grep -c ' 0A ' /proc/net/tcp /proc/net/tcp6 | grep -c ':2$'"
        host_view.eventually("it listens", lambda: not running.exec(["sh", "-c", listening]).returncode)
        yield running


def said_back(address: tuple[str, int], data: bytes) -> bytes:
    """What comes back from there after the end of ``data`` was told."""
    with socket.create_connection(address, timeout=60) as client:
        sender = threading.Thread(target=tell, args=(client, data))
        sender.start()
        parts = []
        while part := client.recv(1 << 16):
            parts.append(part)
        sender.join()
        return b"".join(parts)


def tell(client: socket.socket, data: bytes) -> None:
    try:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the reader sees it too


def test_bytes_and_ends_pass_both_ways(pod: PodHandle) -> None:
    with pod.port_forward(":7", ":8") as forward:
        echo, tells = forward.ports
        assert echo[0] == "127.0.0.1"
        assert said_back(echo, b"hello") == b"hello"
        big = b"".join(b"%d " % number for number in range(400_000))
        assert said_back(echo, big) == big
        assert (
            said_back(tells, b"all of it") == b"told\nall of it"
        )  # said after the end was told: half-closed
        assert said_back(echo, b"") == b""


def test_many_connections_at_once(pod: PodHandle) -> None:
    with pod.port_forward(":7") as forward, contextlib.ExitStack() as stack:
        clients = []
        for _ in range(40):  # one after the other: the app's own queue holds but one
            client = stack.enter_context(socket.create_connection(forward.ports[0], timeout=60))
            client.sendall(b"first")
            assert client.recv(5) == b"first"
            clients.append(client)
        for number, client in enumerate(clients):
            client.sendall(b"%03d" % number)
        for number, client in reversed(list(enumerate(clients))):
            assert client.recv(3) == b"%03d" % number


def test_who_connects_where_nobody_listens_is_cut_off(pod: PodHandle) -> None:
    with pod.port_forward(":9", ":7") as forward:
        client = socket.create_connection(forward.ports[0], timeout=60)
        with client, pytest.raises(ConnectionResetError):
            client.recv(1)
        assert said_back(forward.ports[1], b"still") == b"still"


def test_nothing_is_reached_after_the_block_or_the_pods_end(pod: PodHandle) -> None:
    with pod.port_forward(":7") as forward:
        address = forward.ports[0]
        kept = socket.create_connection(address, timeout=60)
        kept.sendall(b"a")
        assert kept.recv(1) == b"a"
    with kept, pytest.raises(ConnectionResetError):
        kept.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    with pod.port_forward(":7") as forward:
        pod.kill()
        assert forward.wait(60)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(forward.ports[0])
    with pytest.raises(Unavailable):
        pod.port_forward(":7")


def test_addresses_that_are_taken_or_wrong_are_refused(pod: PodHandle) -> None:
    with pod.port_forward("[::1]:0:7", "127.0.0.2:0:7") as forward:
        assert [address for address, _ in forward.ports] == ["::1", "127.0.0.2"]
        assert said_back(forward.ports[0], b"six") == b"six"
        taken = f"127.0.0.2:{forward.ports[1][1]}:7"
        with pytest.raises(Conflict, match="cannot listen"):
            pod.port_forward(taken)
    for wrong in ("", "x", "1:2:3:4", "70000", "80:0", "[::1:80:80", "-1:80", "host:80:80"):
        with pytest.raises(InvalidInput):
            pod.port_forward(wrong)
    with pytest.raises(InvalidInput):
        pod.port_forward()


def test_ports_are_forwarded_for_a_loop(pod: PodHandle, engine: Engine) -> None:
    async def main() -> bytes:
        async with (
            AsyncEngine(engine.data_dir) as loop_engine,
            await loop_engine.handle(pod.uuid).port_forward(":7") as forward,
        ):
            reader, writer = await asyncio.open_connection(*forward.ports[0])
            writer.write(b"hello")
            writer.write_eof()
            data = await reader.read()
            writer.close()
            await writer.wait_closed()
            return data

    assert asyncio.run(main()) == b"hello"

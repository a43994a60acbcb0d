"""Exec, attach and port-forward into real pods over the network, also for clients that are slow or vanish."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from carob import App, Engine, PodHandle, aio
from carob.errors import Conflict, InvalidInput
from carob.service.streaming.pods import Pods
from carob.service.streaming.requests import AttachRequest, ExecRequest, ForwardRequest
from carob.service.streaming.server import StreamingServer
from carob.service.streaming.wanted import Wanted
from tests.leaks import descriptors
from tests.root.streaming_client import SOON_S, Command, command, connect
from tests.unit.service.streaming import spdy_client as spdy

FOREVER = ["sleep", "1000"]
ECHO = "nc -ll -p 7 -e cat & exec sleep 1000"

Test = Callable[["Ground"], Coroutine[Any, Any, None]]


class Ground:
    """A running pod, and a server that leads to it."""

    def __init__(self, engine: Engine, server: StreamingServer, pod: PodHandle) -> None:
        self.engine = engine
        self.server = server
        self.pod = pod

    def url(self, argv: list[str], *, tty: bool = False, app: str = "app") -> str:
        wanted = Wanted(stdin=True, stdout=True, stderr=not tty, tty=tty)
        return self.server.url(ExecRequest(self.pod.uuid, app, argv, wanted))

    async def exec(self, *argv: str, tty: bool = False, app: str = "app") -> Command:
        names = ("stdin", "stdout", "resize") if tty else ("stdin", "stdout", "stderr")
        return await command(self.url(list(argv), tty=tty, app=app), *names)

    async def has(self, words: str) -> bool:
        """Whether a process with this command line runs in the pod."""
        argv = ["sh", "-c", f"ps -o args | grep -q '^{words}'"]
        return (await asyncio.to_thread(self.pod.exec, argv)).returncode == 0

    async def eventually(self, words: str, *, gone: bool = False) -> None:
        async with asyncio.timeout(SOON_S):
            while await self.has(words) is gone:
                await asyncio.sleep(0.01)


def on_pod(test: Test) -> Callable[[Engine], None]:
    """A test that is a coroutine, which leaves no descriptor and no task."""

    @functools.wraps(test)
    def run(engine: Engine) -> None:
        async def main() -> None:
            before = descriptors()
            async with aio.Engine(engine.data_dir) as on_loop:
                pods = Pods(engine, on_loop)
                async with StreamingServer(pods) as server:
                    await test(Ground(engine, server, pod))
                await pods.close()
                assert len(asyncio.all_tasks()) == 1
            await asyncio.sleep(0)
            assert descriptors() == before

        with engine.run(App("busybox", ["sh", "-c", ECHO], name="app")) as pod:
            asyncio.run(main(), debug=True)

    del run.__wrapped__  # its arguments are the fixtures
    return run


@on_pod
async def test_output_ends_and_status(ground: Ground) -> None:
    one = await ground.exec("sh", "-c", "echo out; echo err >&2; exit 3")
    status = await one.end()
    assert (one["stdout"].data, one["stderr"].data) == (b"out\n", b"err\n")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    one.client.writer.close()


@on_pod
async def test_input_of_any_size_and_its_end(ground: Ground) -> None:
    one = await ground.exec("cat")
    data = bytes(range(256)) * 12_000
    one.client.send(one["stdin"], data)
    one.client.send(one["stdin"], b"", spdy.FIN)
    assert (await one.end())["status"] == "Success"
    assert one["stdout"].data == data
    one.client.writer.close()


@on_pod
async def test_input_that_nobody_reads_is_lost_and_the_status_comes(ground: Ground) -> None:
    one = await ground.exec("sh", "-c", "exec <&-; echo closed; sleep 0.1; exit 4")
    for _ in range(40):
        one.client.send(one["stdin"], bytes(65536))
    assert (await one.end())["details"]["causes"][0]["message"] == "4"
    one.client.writer.close()


@on_pod
async def test_terminal_takes_its_size_and_its_changes(ground: Ground) -> None:
    one = await ground.exec("sh", "-c", "read x; stty size; read x; stty size", tty=True)
    one.client.send(one["resize"], b'{"Width":77,"Height":33}')
    one.client.send(one["stdin"], b"a\n")
    while b"33 77" not in one["stdout"].data:
        await one.client.hear()
    one.client.send(one["resize"], b'{"Width":99,"Height":44}')
    one.client.send(one["stdin"], b"b\n")
    assert (await one.end())["status"] == "Success"
    assert b"44 99" in one["stdout"].data
    one.client.writer.close()


@on_pod
async def test_daemons_that_hold_the_output_hold_nobody_up(ground: Ground) -> None:
    one = await ground.exec("sh", "-c", "sleep 1000 & echo left")
    assert (await one.end())["status"] == "Success"
    assert one["stdout"].data == b"left\n"
    one.client.writer.close()


@on_pod
async def test_what_cannot_be_started_is_an_error_in_words(ground: Ground) -> None:
    for argv, app in ((["no-such-program"], "app"), (["true"], "nobody")):
        one = await ground.exec(*argv, app=app)
        status = await one.end()
        assert (status["status"], status["reason"]) == ("Failure", "InternalError")
        assert argv[0] in status["message"] or app in status["message"]
        one.client.writer.close()


@on_pod
async def test_a_client_that_vanishes_takes_its_process_with_it(ground: Ground) -> None:
    idle, busy = await ground.exec("sleep", "71"), await ground.exec("yes", "72")
    fed = await ground.exec("sleep", "73")
    fed.client.send(fed["stdin"], bytes(300_000))  # enough for the server to read no more for now
    for words in ("sleep 71", "yes 72", "sleep 73"):
        await ground.eventually(words)
    for one in (idle, busy, fed):
        one.client.break_off()
    for words in ("sleep 71", "yes 72", "sleep 73"):
        await ground.eventually(words, gone=True)


@on_pod
async def test_so_does_the_end_of_the_server(ground: Ground) -> None:
    one = await ground.exec("sleep", "74")
    await ground.eventually("sleep 74")
    await ground.server.__aexit__(None, None, None)
    await ground.eventually("sleep 74", gone=True)
    one.client.break_off()
    await ground.server.__aenter__()  # to be ended by the block it was begun by


@on_pod
async def test_a_slow_reader_slows_the_process_and_loses_nothing(ground: Ground) -> None:
    count = 32 << 20
    one = await ground.exec("head", "-c", str(count), "/dev/zero")
    await ground.eventually("head -c")
    for _ in range(20):
        assert await ground.has("head -c")  # it waits, for all that the buffers between hold
    taken = 0
    while not one["error"].has_ended:
        await one.client.hear()
        taken += len(one["stdout"].data)
        one["stdout"].data = b""
    assert taken == count
    one.client.writer.close()


@on_pod
async def test_a_url_is_good_once(ground: Ground) -> None:
    url = ground.url(["true"])
    first = await connect(url, "v4.channel.k8s.io")
    again = await connect(url, "v4.channel.k8s.io")
    guess = await connect(url[:-1] + ("a" if url[-1] != "a" else "b"), "v4.channel.k8s.io")
    assert [one.status for one in (first, again, guess)] == [101, 404, 404]
    for one in (first, again, guess):
        one.break_off()


@on_pod
async def test_a_client_that_breaks_the_protocol_is_sent_away(ground: Ground) -> None:
    one = await ground.exec("sleep", "75")
    await ground.eventually("sleep 75")
    one.client.writer.write(spdy.words(spdy.PING, 1, 2, 3))
    while not one.client.is_over:
        try:
            await one.client.hear()
        except ConnectionResetError:
            break
    await ground.eventually("sleep 75", gone=True)
    one.client.break_off()


@on_pod
async def test_attach_sees_and_feeds_an_app(ground: Ground) -> None:
    script = "while read x; do echo got $x; test $x = bye && exit; done"
    app = App("busybox", ["sh", "-c", script], name="reader", stdin="stream")
    with ground.engine.run(app) as pod:
        wanted = Wanted(stdin=True, stdout=True, stderr=False, tty=False)
        urls = [ground.server.url(AttachRequest(pod.uuid, "reader", wanted)) for _ in range(2)]
        leaves, stays = [await command(url, "stdin", "stdout") for url in urls]
        for one, word in ((leaves, b"one"), (stays, b"two")):
            one.client.send(one["stdin"], word + b"\n")
            while b"got " + word not in one["stdout"].data:
                await one.client.hear()
        leaves.client.break_off()  # the app runs on
        stays.client.send(stays["stdin"], b"bye\n")
        assert (await stays.end())["status"] == "Success"
        assert stays["stdout"].data.endswith(b"got two\ngot bye\n")
        stays.client.writer.close()


@on_pod
async def test_ports_are_forwarded_side_by_side(ground: Ground) -> None:
    client = await connect(ground.server.url(ForwardRequest(ground.pod.uuid)), "portforward.k8s.io")
    listening = ["sh", "-c", "grep -q ' 0A ' /proc/net/tcp /proc/net/tcp6"]
    async with asyncio.timeout(SOON_S):
        while (await asyncio.to_thread(ground.pod.exec, listening)).returncode:
            await asyncio.sleep(0.01)
    pairs = []
    for number in range(4):
        headers = {"port": "7" if number else "9", "requestid": str(number)}
        error = client.open(spdy.FIN, streamtype="error", **headers)
        pairs.append((error, client.open(streamtype="data", **headers)))
    said = [b"%d" % number * 100_000 for number in range(4)]
    for (_, data), content in zip(pairs, said, strict=True):
        client.send(data, content)
        client.send(data, b"", spdy.FIN)
    await client.until_ended(*(stream for pair in pairs for stream in pair))
    (refused, nothing), *echoes = pairs
    assert (nothing.data, b"nothing listens on port 9" in refused.data) == (b"", True)
    assert [(error.data, data.data) for error, data in echoes] == [(b"", content) for content in said[1:]]
    client.writer.close()


@on_pod
async def test_hostile_clients_leave_nothing_and_hold_nobody_up(ground: Ground) -> None:
    noise = random.Random(7)
    for number in range(60):
        forward = await connect(ground.server.url(ForwardRequest(ground.pod.uuid)), "portforward.k8s.io")
        exec_of_cat = await connect(ground.url(["cat"]), "v4.channel.k8s.io")
        for one in (forward, exec_of_cat):
            content = noise.randbytes(noise.choice((4, 8, 10, 30)))
            one.writer.write(spdy.control(number % 10 + 1, content, noise.randint(0, 3)))
            one.break_off()
    flood = await connect(ground.server.url(ForwardRequest(ground.pod.uuid)), "portforward.k8s.io")
    for number in range(1500):
        opened = flood.open(streamtype="data", port="7", requestid=str(number))
        flood.writer.write(spdy.words(spdy.RST_STREAM, opened.stream_id, 5))
    one = await ground.exec("echo", "still there")
    assert (await one.end())["status"] == "Success"
    one.client.writer.close()
    flood.break_off()


def test_unix_socket_is_for_its_owner(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "streams.sock"

    async def main() -> None:
        async with aio.Engine(engine.data_dir) as on_loop:
            pods = Pods(engine, on_loop)
            async with StreamingServer(pods, socket_path=str(path)) as server:
                assert path.stat().st_mode & 0o777 == 0o600
                url = server.url(ForwardRequest("x"))
                client = await connect(url, "portforward.k8s.io", socket_path=str(path))
                assert client.status == 101
                client.break_off()
                with pytest.raises(Conflict):
                    await StreamingServer(pods, socket_path=str(path)).__aenter__()
            assert not path.exists()

    asyncio.run(main())


def test_streams_are_served_on_this_machine_only(engine: Engine) -> None:
    async def main() -> None:
        async with aio.Engine(engine.data_dir) as on_loop:
            pods = Pods(engine, on_loop)
            with pytest.raises(InvalidInput, match="neither encrypted nor authenticated"):
                StreamingServer(pods, address="0.0.0.0")
            async with StreamingServer(pods) as server:
                url = server.url(ForwardRequest("x"))
                port = int(url.split(":")[2].partition("/")[0])
                with pytest.raises(Conflict, match=f"cannot listen on 127.0.0.1:{port}"):
                    await StreamingServer(pods, port=port).__aenter__()

    asyncio.run(main())

"""The control socket at its limits, and terminals made through it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from carob import App, Engine, Exited, PodHandle
from carob.errors import Conflict
from tests.needs import impossible_here, require_command
from tests.root import host_view
from tests.root.test_exec import FOREVER, Raw, init_of, read_terminal, request, settled


@pytest.fixture
def pod(engine: Engine) -> Iterator[PodHandle]:
    with engine.run(App("busybox", FOREVER)) as running:
        yield running


@pytest.fixture
def raw(engine: Engine, pod: PodHandle) -> Iterator[Raw]:
    with Raw(host_view.pod_directory(engine.data_dir, pod.uuid)) as client:
        yield client


# --- terminals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_terminal_has_its_size_soon_after_the_start(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    # crun begins the program and sets the size at the same time.
    patient = ["sh", "-c", "until stty size 2>/dev/null; do sleep 0.01; done"]
    with engine.run(App("busybox", FOREVER), runtime=runtime) as pod:
        for size, expected in (([33, 77], "33 77\r\n"), ([2, 300], "2 300\r\n")):
            with Raw(host_view.pod_directory(engine.data_dir, pod.uuid)) as raw:
                raw.send(json.dumps({"v": 1, **request(tty=True, argv=patient, size=size)}).encode())
                message, descriptors, _, _ = socket.recv_fds(raw.socket, 4096, 1)
                assert json.loads(message)["event"] == "started"
                try:
                    assert raw.answer()["event"] == "ended"
                    assert read_terminal(descriptors[0]) == expected
                finally:
                    os.close(descriptors[0])


@pytest.mark.parametrize("size", [[1], "80x24", [1, "x"], 7])
def test_what_is_no_size_is_refused(raw: Raw, size: object) -> None:
    assert raw.ask(request(tty=True, size=size))["event"] == "refused"


COMMANDS = (
    ["sleep", "4711"],
    ["sh", "-c", "sleep 4711 & sleep 4711 & wait"],
    ["sh", "-ic", "sleep 4711; true"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[-1])
def test_command_with_a_terminal_ends_when_who_entered_is_killed(
    engine: Engine, pod: PodHandle, command: list[str], supervisor_launcher: tuple[str, ...]
) -> None:
    inside = host_view.Inside(init_of(engine, pod))
    before = len(inside.survivors())
    master, slave = os.openpty()
    program = "import sys; from carob.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", program, "--dir", engine.data_dir, "enter", pod.uuid, *command]
    with subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave) as entered:
        try:
            host_view.eventually("the command runs", lambda: len(inside.survivors()) > before)
            time.sleep(0.1)  # and has made what it makes
        finally:
            entered.kill()
            os.close(slave)
            os.close(master)
    host_view.eventually("nothing of it is left", lambda: len(inside.survivors()) == before)
    assert str(pod.status().state) == "running"


# --- more than there is room for ------------------------------------------------------------------


def test_a_pod_can_be_stopped_however_many_clients_it_has(engine: Engine) -> None:
    polite = "trap 'exit 5' TERM; echo r; while :; do sleep 1000 & wait $!; done"
    with engine.run(App("busybox", ["sh", "-c", polite])) as pod:
        host_view.eventually("the trap is set", lambda: pod.logs().text() == "r\n")
        directory = host_view.pod_directory(engine.data_dir, pod.uuid)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Raw(directory)) for _ in range(260)]
            assert clients[-1].ask({"op": "status"})["event"] == "status"
            with pytest.raises(Conflict, match="256 clients"):
                pod.exec(["true"])
            pod.stop(grace_s=1000)
        assert pod.status().outcome == "stopped"
        assert pod.status().app("busybox").end == Exited(5)


def cpu_ticks(pid: int) -> int:
    return sum(int(one) for one in host_view.fields(pid)[11:13])


def test_init_without_a_free_descriptor_waits_for_one(engine: Engine, pod: PodHandle) -> None:
    init = init_of(engine, pod)
    settled(init)
    limits = resource.prlimit(init, resource.RLIMIT_NOFILE)
    full = max(int(name) for name in os.listdir(f"/proc/{init}/fd")) + 1
    resource.prlimit(init, resource.RLIMIT_NOFILE, (full, limits[1]))
    try:
        with contextlib.ExitStack() as stack:
            directory = host_view.pod_directory(engine.data_dir, pod.uuid)
            while len(os.listdir(f"/proc/{init}/fd")) < full:  # numbers that were free below
                assert stack.enter_context(Raw(directory)).ask({"op": "status"})["event"] == "status"
            waiting = stack.enter_context(Raw(directory))
            waiting.send(b'{"v":1,"op":"status"}')
            before = cpu_ticks(init)
            time.sleep(0.6)
            assert cpu_ticks(init) - before < 15, "it does not spin"
            resource.prlimit(init, resource.RLIMIT_NOFILE, limits)
            assert waiting.answer()["event"] == "status"
    finally:
        resource.prlimit(init, resource.RLIMIT_NOFILE, limits)


def test_exec_for_which_there_is_no_process_is_refused_at_once(engine: Engine, pod: PodHandle) -> None:
    """fork(2) fails with EAGAIN, as a socket does that has nothing to read."""
    try:
        limit = host_view.cgroup_file(pod.uuid, ".", "pids.max", "pids")
    except FileNotFoundError:
        impossible_here("no pids controller of version 1")
    limit.write_text((limit.parent / "pids.current").read_text())
    init = init_of(engine, pod)
    files = sorted(os.listdir(f"/proc/{init}/root/run"))
    with pytest.raises(Conflict, match="Resource temporarily unavailable"):
        pod.exec(["true"])
    assert sorted(os.listdir(f"/proc/{init}/root/run")) == files
    limit.write_text("max")
    assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"

"""crictl runs a pod from its files, from the start to the end, while carob's own command shows the same."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carob import Engine
from tests.needs import impossible_here
from tests.parts.api_service import ApiService
from tests.parts.critest import TOOLS, unpacked_crictl
from tests.root.host_view import eventually
from tests.root.own_host import own_host

SCRIPT = "trap 'exit 0' TERM; echo ready; while :; do echo tick; sleep 0.2; done"
LISTENER = "while :; do echo hello from the pod | nc -l -p 8080; done"


class Crictl:
    """The program, set up for one service."""

    def __init__(self, program: Path, directory: Path, path: Path) -> None:
        self.configuration = directory / "crictl.yaml"
        self.configuration.write_text(f"runtime-endpoint: unix://{path}\nimage-endpoint: unix://{path}\n")
        self.argv = [str(program), "-c", str(self.configuration)]
        self.directory = directory

    def __call__(self, *words: str) -> str:
        done = subprocess.run([*self.argv, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def file(self, name: str, document: Any) -> str:
        """Write a document to a file; return its path."""
        path = self.directory / name
        path.write_text(json.dumps(document))
        return str(path)


@pytest.fixture
def crictl(engine: Engine, tmp_path: Path) -> Iterator[Crictl]:
    program = unpacked_crictl(tmp_path)
    if program is None:
        impossible_here(f"no Debian package has crictl, and there is none in {TOOLS}")
    with own_host():
        service = ApiService(engine.data_dir, f"--cri=unix:{tmp_path}/cri.sock", "--cri-network=default")
        try:
            yield Crictl(program, tmp_path, tmp_path / "cri.sock")
        finally:
            service.end()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answered(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as one:
        return one.recv(100)


def test_a_pod_from_its_files(engine: Engine, crictl: Crictl, tmp_path: Path) -> None:
    metadata = {"name": "web", "namespace": "default", "uid": "u-1"}
    sandbox = crictl.file(
        "pod.json",
        {
            "metadata": metadata,
            "log_directory": str(tmp_path / "logs"),
            "linux": {},
        },
    )
    (tmp_path / "logs").mkdir()
    config = {
        "metadata": {"name": "one"},
        "image": {"image": "busybox"},
        "command": ["sh", "-c", f"{LISTENER} & {SCRIPT}"],
        "log_path": "one.log",
        "linux": {"security_context": {"namespace_options": {"pid": 1}}},
    }
    pod = crictl("runp", sandbox)
    container = crictl("create", pod, crictl.file("container.json", config), sandbox)
    crictl("start", container)
    assert "busybox" in crictl("images")
    assert crictl("pods", "-q") == pod
    assert crictl("ps", "-q") == container
    carob = subprocess.run(
        [sys.executable, "-m", "carob", "--dir", engine.data_dir, "list", "--format=json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert pod in carob.stdout.replace("-", "")

    assert crictl("exec", container[:12], "cat", "/etc/hostname")
    assert (
        in_terminal([*crictl.argv, "exec", "-it", container, "sh", "-c", "test -t 0 && echo terminal"])
        == "terminal"
    )
    with subprocess.Popen(
        [*crictl.argv, "logs", "-f", container], stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        assert [follower.stdout.readline() for _ in range(3)] == ["ready\n", "tick\n", "tick\n"]
        follower.kill()
    port = free_port()
    with subprocess.Popen(
        [*crictl.argv, "port-forward", pod, f"{port}:8080"], stdout=subprocess.DEVNULL
    ) as forward:
        eventually("the port answers", lambda: _quietly(answered, port) == b"hello from the pod\n")
        forward.terminate()
    stats = json.loads(crictl("stats", "-o", "json", "--id", container))
    assert int(stats["stats"][0]["memory"]["workingSetBytes"]["value"]) > 0
    crictl("stop", "--timeout", "5", container)
    inspected = json.loads(crictl("inspect", container))["status"]
    assert (inspected["state"], inspected["exitCode"]) == ("CONTAINER_EXITED", 0)
    crictl("rm", container)
    crictl("stopp", pod)
    crictl("rmp", pod)
    assert crictl("pods", "-q") == ""
    assert engine.list() == []


def in_terminal(argv: list[str]) -> str:
    """Run a command in a terminal of its own; return what it shows."""
    pid, master = pty.fork()
    if pid == 0:
        os.execv(argv[0], argv)
    shown = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            data = os.read(master, 4096)
        except OSError:
            break  # the other side is closed
        if not data:
            break
        shown += data
    os.close(master)
    os.waitpid(pid, 0)
    return shown.decode().strip()


def _quietly(look: Any, *arguments: Any) -> Any:
    try:
        return look(*arguments)
    except OSError:
        return None

"""Kubernetes' own client library, as crictl has it, over SPDY and over WebSocket."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob import App, Engine, PodHandle
from tests.needs import ROOT, impossible_here
from tests.parts.critest import TOOLS, unpacked_crictl
from tests.root.test_port_forward import ECHO, said_back

TRANSPORTS = ("spdy", "websocket")


@pytest.fixture(scope="module")
def crictl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = unpacked_crictl(tmp_path_factory.mktemp("crictl"))
    if program is None:
        impossible_here(f"no Debian package has crictl, and there is none in {TOOLS}")
    return program


class Ground:
    """A pod with an app that reads and one that listens, and crictl that reaches both."""

    def __init__(self, crictl: Path, directory: Path, pod: PodHandle) -> None:
        self.crictl = crictl
        self.directory = directory
        self.pod = pod

    def argv(self, verb: str, *words: str) -> list[str]:
        (self.directory / "crictl.yaml").write_text(f"runtime-endpoint: unix://{self.directory}/cri.sock\n")
        return [str(self.crictl), "-c", str(self.directory / "crictl.yaml"), verb, *words]

    def run(self, verb: str, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.argv(verb, *words), input=data, capture_output=True, timeout=60, check=False
        )


@pytest.fixture
def ground(engine: Engine, crictl: Path, tmp_path: Path) -> Iterator[Ground]:
    reader = "while read x; do echo got $x; done"
    apps = [
        App("busybox", ["sh", "-c", ECHO], name="echo"),
        App("busybox", ["sh", "-c", reader], name="reader", stdin="stream"),
    ]
    script = Path(__file__).with_name("streaming_service.py")
    argv = [sys.executable, str(script), engine.data_dir, str(tmp_path / "cri.sock")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        engine.run(*apps) as pod,
        subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        ) as service,
    ):
        assert service.stdout is not None
        assert service.stdout.readline() == "READY\n"
        yield Ground(crictl, tmp_path, pod)
        assert service.stdin is not None
        service.stdin.close()
        assert service.wait(60) == 0


def test_exec(ground: Ground) -> None:
    data = bytes(range(256)) * 4000
    for transport in TRANSPORTS:
        common = ("--transport", transport)
        target = f"{ground.pod.uuid}/echo"
        failed = ground.run("exec", *common, target, "sh", "-c", "echo out; echo err >&2; exit 3")
        assert failed.stdout == b"out\n"
        assert failed.stderr.startswith(b"err\n")
        assert b"exit code 3" in failed.stderr
        assert ground.run("exec", *common, target, "true").returncode == 0
        echoed = ground.run("exec", "-i", *common, target, "cat", data=data)
        assert (echoed.returncode, echoed.stdout == data) == (0, True)


def test_attach(ground: Ground) -> None:
    for transport in TRANSPORTS:
        argv = ground.argv("attach", "-i", "--transport", transport, f"{ground.pod.uuid}/reader")
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attached:
            assert attached.stdin is not None
            assert attached.stdout is not None
            attached.stdin.write(transport.encode() + b"\n")
            attached.stdin.flush()
            assert attached.stdout.readline() == b"got " + transport.encode() + b"\n"
            attached.kill()


def test_port_forward(ground: Ground) -> None:
    for transport in TRANSPORTS:
        argv = ground.argv("port-forward", "--transport", transport, ground.pod.uuid, "0:8")
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as forward:
            assert forward.stdout is not None
            found = None
            while found is None:
                found = re.search(r"127\.0\.0\.1:(\d+)", forward.stdout.readline())
            address = ("127.0.0.1", int(found[1]))
            for _ in range(3):
                assert said_back(address, b"x" * 200_000) == b"told\n" + b"x" * 200_000
            forward.kill()

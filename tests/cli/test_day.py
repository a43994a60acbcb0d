"""The verbs of a day's work: files, processes, figures, events, logs, ports, the host."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Command, eventually

pytestmark = pytest.mark.root
SERVES = "nc -ll -p 80 -e cat & echo begun; while :; do sleep 0.05; done"


@pytest.fixture
def pod(carob: Command) -> str:
    uuid = carob.detached("--name=web", "busybox", "--name=app", "--", "sh", "-c", SERVES)
    eventually(lambda: "begun" in carob.ok("logs", uuid))
    return uuid


def test_cp_top_and_stats(carob: Command, pod: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "file").write_text("content")
    carob.ok("cp", str(tmp_path / "one"), f"{pod[:8]}:/tmp")
    carob.ok("cp", "--app=app", f"{pod}:/tmp/one/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "content"
    with carob.start("cp", f"{pod}:/tmp/one", "-") as packed:
        with carob.start("cp", "-", f"{pod}:/etc", stdin=packed.stdout) as unpacked:
            assert unpacked.wait(60) == 0
        assert packed.wait(60) == 0
    assert carob.ok("enter", pod, "cat", "/etc/one/file") == "content"
    for words in (("a", "b"), (f"{pod}:/a", f"{pod}:/b"), (f"{pod}:/nothing", str(tmp_path / "x"))):
        result = carob("cp", *words)
        assert result.returncode == 125, result
        assert len(result.stderr.splitlines()) == 1

    legend, first, *_ = carob.ok("top", pod).splitlines()
    assert legend.split()[:3] == ["PID", "POD", "IN"]
    assert "sh -c nc" in first
    commands = {one["command"]: one for one in carob.json("top", pod, "app")}
    assert next(one for text, one in commands.items() if text.startswith("sh -c"))["app_pid"] == 1

    table = carob.ok("stats", "--no-stream").splitlines()
    assert [line.split()[0] for line in table] == ["UUID", pod[:8], "app"]
    seen = carob.json("stats", "--no-stream", pod)
    assert (seen["uuid"], seen["name"], list(seen["apps"])) == (pod, "web", ["app"])
    assert seen["cpu_ns"] > 0
    assert seen["working_set_bytes"] > 0
    with carob.start("stats", "--interval=50ms", "--format=json", pod) as streaming:
        assert streaming.stdout is not None
        assert [json.loads(streaming.stdout.readline())["uuid"] for _ in range(3)] == [pod] * 3
        carob.ok("stop", "--force", pod)
        assert streaming.wait(60) == 0
    assert carob("top", pod).returncode == 125


def test_events_and_timeline(carob: Command) -> None:
    began_s = time.time() - 1
    following = carob.start("events", "--since", f"@{began_s:.3f}", "--format=json")
    uuid = carob.detached("busybox", "--name=app", "--", "sh", "-c", "exit 3")
    carob.ok("status", "--wait", uuid)
    carob.ok("rm", uuid)
    assert following.stdout is not None
    told = [json.loads(following.stdout.readline()) for _ in range(6)]
    following.send_signal(signal.SIGINT)
    assert following.wait(60) == 130
    following.communicate()
    life = ["prepared", "started", "app-started", "app-ended", "ended", "removed"]
    assert [one["event"] for one in told] == life
    assert told[3]["end"] == {"kind": "exited", "code": 3}
    assert told[4]["outcome"] == "app failed" or told[4]["reason"]
    assert carob.json("timeline", uuid) == told
    lines = carob.ok("timeline", uuid).splitlines()
    assert [line.split()[2] for line in lines] == life
    assert carob.ok("events", "--no-stream", "--since", "1h", uuid).splitlines() == lines
    assert carob("events", "--no-stream").returncode == 125


def test_logs_are_bounded_and_chosen_by_time(carob: Command) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo $((i=i+1)); done"
    options = ["--log-opt", "max-size=8k", "--log-opt", "max-file=2"]
    uuid = carob.detached(*options, "busybox", "--name=app", "--", "sh", "-c", script)
    carob.ok("status", "--wait", uuid)
    kept = carob.ok("logs", uuid).split()
    assert kept[-1] == "2000"
    assert len(kept) < 1000
    assert carob.ok("logs", "--until", "1h", uuid) == ""
    assert carob.ok("logs", "--since", "1h", "--tail=3", uuid).split() == ["1998", "1999", "2000"]
    for wrong in ("max-size=x", "max-file=0", "size=1"):
        extra = ["--log-opt=max-size=1m"] if wrong.startswith("max-file") else []
        assert carob("run", *extra, f"--log-opt={wrong}", "busybox", "--", "true").returncode == 125


def test_port_forward_says_where_and_ends_with_the_pod(carob: Command, pod: str) -> None:
    forwarding = carob.start("port-forward", pod, ":80")
    assert forwarding.stdout is not None
    where, _, port = forwarding.stdout.readline().decode().split()
    assert port == "80"
    address, _, local = where.rpartition(":")
    with socket.create_connection((address, int(local)), timeout=60) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
    assert carob("port-forward", pod, f"{where}:80").returncode == 125
    carob.ok("stop", "--force", pod)
    assert forwarding.wait(60) == 0
    forwarding.communicate()


def test_doctor(carob: Command) -> None:
    result = carob("doctor")
    assert result.returncode == 0, result.stdout
    assert "ok       runtime: OCI runtime: " in result.stdout
    checks = carob.json("doctor")
    assert {check["verdict"] for check in checks} <= {"ok", "lacking"}
    broken = carob("doctor", env={"CAROB_DIR": "/proc/carob"})
    assert broken.returncode == 1
    assert "failed   data directory: " in broken.stdout

"""An init that waits for its disk keeps nobody from ending, and is not killed for it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from carob import App, Engine, Exited, Mount, PodHandle, Signaled
from carob.supervisor import client
from tests.root import host_view

SOON_S = 60
HELD = str(Path(__file__).with_name("held_supervisor.py"))
POLITE = "trap 'exit 5' TERM; echo ready; while :; do sleep 1000 & wait $!; done"


@pytest.fixture
def slow(engine: Engine) -> Engine:
    """The same engine, whose inits find ``carob/hold``."""
    return Engine(engine.data_dir, launcher=("-S", HELD))


class Hold:
    """In a ``with`` block the disk of the pod's init is slow."""

    def __init__(self, engine: Engine, pod: PodHandle) -> None:
        self.directory = host_view.pod_directory(engine.data_dir, pod.uuid)
        self._path = self.directory / "carob/hold"

    def __enter__(self) -> Hold:
        self._path.write_text("0")
        return self

    def allow(self, waits: int) -> None:
        """Lets that many waits, counted from the first, be short."""
        following = self._path.with_name("hold.new")
        following.write_text(str(waits))
        following.rename(self._path)

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)

    def waits(self) -> int:
        """How often init has begun to wait for its disk."""
        return int(host_view.read(self.directory / "carob/waits") or 0)


def app(name: str, script: str) -> App:
    return App("busybox", ["sh", "-c", script], name=name)


def said(pod: PodHandle, name: str) -> None:
    host_view.eventually("it is ready", lambda: pod.logs(name).text() == "ready\n")


def test_the_others_are_ended_before_a_failure_is_on_the_disk(slow: Engine) -> None:
    bad = "mkfifo /tmp/p; echo ready; read go </tmp/p; exit 3"
    with slow.run(app("bad", bad), app("good", POLITE), grace_s=1000) as pod:
        said(pod, "bad")
        said(pod, "good")
        inside = host_view.Inside(host_view.keeper(host_view.pod_directory(slow.data_dir, pod.uuid), "init"))
        before = len(inside.survivors())
        with Hold(slow, pod) as hold:
            pod.exec(["sh", "-c", "echo >/tmp/p"], app="bad")
            host_view.eventually("init waits for its disk", hold.waits)
            host_view.eventually("the other was told to end", lambda: len(inside.survivors()) < before - 2)
            assert str(pod.status().state) == "running"
            assert not (hold.directory / "carob/apps/bad/exit.json").exists()
        end = pod.wait(timeout_s=SOON_S)
        assert end.apps == {"bad": Exited(3), "good": Exited(5)}
        assert end.outcome == "app failed"


def test_a_slow_init_is_not_killed_for_its_silence(slow: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_ANSWER_S", 0.05)
    with slow.run(app("quick", "mkfifo /p; echo ready; read go </p"), app("polite", POLITE)) as pod:
        said(pod, "quick")
        said(pod, "polite")
        with Hold(slow, pod) as hold:
            pod.exec(["sh", "-c", "echo >/p"], app="quick")
            host_view.eventually("init waits for its disk", hold.waits)
            stopper = threading.Thread(target=pod.stop)
            stopper.start()
            stopper.join(0.5)  # ten times as long as an answer may take
            assert stopper.is_alive()
            assert str(pod.status().state) == "running"
        stopper.join(SOON_S)
        status = pod.status()
        assert status.outcome == "stopped"
        assert {one.name: one.end for one in status.apps} == {"quick": Exited(0), "polite": Exited(5)}


def test_a_stopped_init_is(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_ANSWER_S", 0.05)
    with engine.run(app("polite", POLITE)) as pod:
        said(pod, "polite")
        os.kill(host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "init"), signal.SIGSTOP)
        pod.stop()
        assert pod.status().outcome == "killed"


def test_requests_are_answered_between_two_waits(slow: Engine, tmp_path: Path) -> None:
    """Three apps end at once: their records are six waits, and nobody waits for all of them."""
    directory = tmp_path / "go"
    directory.mkdir()
    names = ("one", "two", "three")
    apps = [
        App(
            "busybox",
            ["sh", "-c", "until [ -e /go/now ]; do :; done"],
            name=name,
            mounts=[Mount(directory, "/go")],
        )
        for name in names
    ]
    with slow.run(*apps, App("busybox", ["sleep", "1000"], name="four")) as pod:
        inside = host_view.Inside(host_view.keeper(host_view.pod_directory(slow.data_dir, pod.uuid), "init"))
        with Hold(slow, pod) as hold:
            (directory / "now").touch()
            host_view.eventually("all three have ended", lambda: len(inside.survivors()) <= 2)
            host_view.eventually("init waits for its disk", hold.waits)
            asked = threading.Thread(target=pod.signal, args=(signal.SIGKILL,), kwargs={"app": "four"})
            asked.start()
            hold.allow(3)
            asked.join(SOON_S)
            assert not asked.is_alive()
        end = pod.wait(timeout_s=SOON_S)
        assert end.apps == dict.fromkeys(names, Exited(0)) | {"four": Signaled(9)}

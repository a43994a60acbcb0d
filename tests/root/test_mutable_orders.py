"""Orders that meet: apps of a mutable pod are restarted, paused, stopped, started and removed at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from carob import Engine, PodHandle
from carob.errors import AppStartFailed, CarobError, Conflict
from carob.pod import open_pod
from carob.supervisor import client
from tests.root import host_view
from tests.root.mutable_pods import app, directory, is_settled, known

DEAF = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
LONG_S = 600.0


def deaf(pod: PodHandle, name: str) -> None:
    pod.add(app(name, DEAF))
    pod.start_app(name)
    host_view.eventually("it is deaf", lambda: "deaf" in pod.logs(name).text())


class Background:
    """A call on its way; ``result`` waits for its error, or ``None``."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._error: CarobError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._call()
        except CarobError as error:
            self._error = error

    def result(self) -> CarobError | None:
        self._thread.join(60)
        assert not self._thread.is_alive(), "it has not come back"
        return self._error


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    host_view.eventually("it stands", lambda: "State:\tT" in host_view.read(f"/proc/{pid}/status"))
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_restart_leaves_out_what_was_never_started_and_waits_for_all_others(engine: Engine) -> None:
    with engine.sandbox() as pod:
        pod.add(app("never"))
        with pytest.raises(Conflict, match="no apps to restart"):
            pod.restart()
        deaf(pod, "deaf")
        pod.add(app("once"))
        pod.start_app("once")
        pod.restart(grace_s=0.2)
        assert known(engine, pod) == {"never": "created", "deaf": "running", "once": "running"}
        assert [pod.status().app(name).restarts for name in ("never", "deaf", "once")] == [0, 1, 1]
        pod.exec(["rm", "/bin/sh"], app="once")
        with pytest.raises(AppStartFailed) as caught:
            pod.restart(grace_s=0.2)
        assert caught.value.app == "once"
        assert pod.status().app("deaf").restarts == 2, "the others were restarted all the same"


def test_an_app_whose_namespace_is_gone_says_so_in_words(engine: Engine) -> None:
    with engine.sandbox() as pod:
        pod.add(app("host"))
        pod.start_app("host")
        pod.add(app("guest"), pid="app:host")
        pod.start_app("guest")
        pod.stop_app("guest", grace_s=0)
        pod.remove_app("host", force=True)
        with pytest.raises(AppStartFailed, match="app guest could not be started: app 'host', among whose"):
            pod.start_app("guest")
        assert "Error" not in str(pod.status().app("guest").end)


def test_an_app_that_is_being_restarted_can_be_removed_and_stopped(engine: Engine) -> None:
    with engine.sandbox() as pod:
        for name in ("removed", "stopped", "other"):
            deaf(pod, name)
        on_their_way = {
            name: Background(lambda name=name: pod.restart(app=name, grace_s=LONG_S))  # type: ignore[misc]
            for name in ("removed", "stopped")
        }
        host_view.eventually("both are asked", lambda: all_asked(pod, on_their_way))
        with pytest.raises(Conflict, match="is being restarted"):
            pod.pause()
        assert set(known(engine, pod).values()) == {"running"}, "none is paused where not all can be"
        pod.stop_app("stopped", grace_s=0)
        pod.remove_app("removed", force=True)
        assert known(engine, pod) == {"stopped": "ended", "other": "running"}
        for call in on_their_way.values():
            assert isinstance(call.result(), Conflict)
        assert pod.status().app("stopped").restarts == 0
        ending = Background(lambda: pod.stop_app("other", grace_s=LONG_S))
        host_view.eventually("it is asked", lambda: all_asked(pod, ["other"]))
        with pytest.raises(Conflict, match="is being ended"):
            pod.restart(app="other")
        with pytest.raises(Conflict, match="is being ended"):
            pod.pause(app="other")
        pod.stop_app("other", grace_s=0)
        assert ending.result() is None
        is_settled(engine, pod)


def all_asked(pod: PodHandle, names: object) -> bool:
    """Whether apps are asked to end: then they cannot be paused."""
    for name in names:  # type: ignore[attr-defined]
        try:
            pod.pause(app=name)
        except Conflict:
            continue
        pod.resume(app=name)
        return False
    return True


def test_who_waits_for_an_end_is_answered_though_the_app_is_started_again(engine: Engine) -> None:
    with engine.sandbox() as pod, open_pod(engine.data_dir, pod.uuid) as opened:
        pod.add(app("web"))
        pod.start_app("web")
        init = host_view.keeper(directory(engine, pod), "init")
        (shell,) = [
            pid for pid in host_view.descendants(init) if "trap" in host_view.read(f"/proc/{pid}/cmdline")
        ]
        with (
            client.Connection(opened.fd(), pod.uuid, 30) as stopping,
            client.Connection(opened.fd(), pod.uuid, 30) as starting,
        ):
            for connection in (stopping, starting):  # they are known to init
                connection.send({"op": "status"})
                connection.receive()
            with stopped(init):
                os.kill(shell, signal.SIGKILL)
                host_view.eventually(
                    "it has ended", lambda: "State:\tZ" in host_view.read(f"/proc/{shell}/status")
                )
                stopping.send({"op": "stop-app", "app": "web", "grace_s": None})
                starting.send({"op": "start-app", "app": "web"})
            assert stopping.receive()[0]["event"] == "stopped"
            assert starting.receive()[0]["event"] == "started"

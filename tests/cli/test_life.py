"""The verbs and options for the lives of apps: pauses, restarts, roles, standard input and terminals."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cli.conftest import PATIENCE_S, Command, eventually

FOREVER = "while :; do sleep 1000 & wait $!; done"


def text_of(carob: Command, uuid: str) -> str:
    return carob.ok("logs", uuid)


def apps_of(carob: Command, uuid: str) -> dict[str, dict[str, object]]:
    return {app["name"]: app for app in carob.json("status", uuid)["apps"]}


# --- what is asked of running pods ----------------------------------------------------------------


def test_pause_resume_restart_and_kill(carob: Command) -> None:
    script = f"trap 'echo usr1' USR1; echo up; {FOREVER}"
    uuid = carob.detached("busybox", "--name=a", "--", "sh", "-c", script)
    assert carob.ok("pause", uuid) == f"{uuid}\n"
    assert "app-a=paused\n" in carob.ok("status", uuid)
    assert carob.ok("resume", "--app=a", uuid) == f"{uuid}\n"
    carob.ok("kill", "--signal=sigusr1", uuid)
    eventually(lambda: "usr1" in text_of(carob, uuid))
    carob.ok("restart", "--grace=0", uuid)
    assert "app-a=running, restarts: 1\n" in carob.ok("status", uuid)
    wrong = carob("kill", "--signal=SIGWRONG", uuid)
    assert (wrong.returncode, "there is no signal" in wrong.stderr) == (125, True)
    assert carob("pause", "--app=none", uuid).returncode == 125
    carob.ok("kill", uuid)
    assert carob.json("status", uuid)["state"] == "exited"
    assert carob("resume", uuid).returncode == 125


def test_options_for_the_life_of_apps(carob: Command) -> None:
    words = (
        "--restart=on-failure:1",
        "--stop-timeout=3s",
        "busybox",
        "--name=main",
        "--",
        "sh",
        "-c",
        "exit 3",
    )
    setup = ("busybox", "--role=init", "--name=setup", "--stop-signal=USR1", "--", "true")
    result = carob("run", *words, "---", *setup)
    assert result.returncode == 3
    uuid = carob.json("list")[0]["uuid"]
    apps = apps_of(carob, uuid)
    assert (apps["main"]["restarts"], apps["main"]["role"]) == (1, "main")
    assert (apps["setup"]["restarts"], apps["setup"]["role"]) == (0, "init")
    assert "app-main=3, restarts: 1\n" in carob.ok("status", uuid)
    noted = {
        app["name"]: {one["name"]: one["value"] for one in app["annotations"]}
        for app in json.loads(carob.ok("cat-manifest", uuid))["apps"]
    }
    assert noted["main"]["carob/restart"] == "on-failure:1"
    assert noted["main"]["carob/stop-timeout"] == "3.0"
    assert noted["setup"]["carob/role"] == "init"
    assert noted["setup"]["carob/stop-signal"] == "10"


def test_a_manifest_that_carob_wrote_makes_the_same_pod(carob: Command) -> None:
    words = ("--restart=on-failure:1", "-i", "--stop-signal=INT", "--stop-timeout=1.5", "--stdout=null")
    uuid = carob.ok("prepare", "busybox", "--name=a", *words, "--", "true").strip()
    again = carob.ok("prepare", "--pod-manifest=-", input=carob.ok("cat-manifest", uuid)).strip()
    first, second = (json.loads(carob.ok("cat-manifest", one)) for one in (uuid, again))
    lives = []
    for manifest in (first, second):
        noted = {one["name"]: one["value"] for one in manifest["apps"][0]["annotations"]}
        lives.append({name: value for name, value in noted.items() if not name.startswith("carob/image-")})
    assert lives[0] == lives[1]
    assert lives[0]["coreos.com/rkt/stage2/stdin"] == "stream"
    assert lives[0]["carob/restart"] == "on-failure:1"


def test_what_an_init_app_wrote_is_shown_where_it_fails(carob: Command) -> None:
    setup = ("busybox", "--role=init", "--name=setup", "--", "sh", "-c", "echo why; exit 7")
    result = carob("run", *setup, "---", "busybox", "--name=main", "--", "true")
    assert (result.returncode, result.stdout) == (7, "why\n")
    assert "app setup failed" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--restart=sometimes"], "is no restart policy"),
        (["--restart=on-failure:0"], "from 1 to"),
        (["--role=boss"], "--role is"),
        (["--stop-signal=0"], "there is no signal"),
        (["--tty"], "standard input is no terminal"),
        (["-i", "---", "busybox", "-i"], "several apps would read standard input"),
        (["--role=sidecar"], "at least one main app"),
        (["--stdin=null", "-i"], "do not go together"),
        (["-i", "--stdout=tty"], "one terminal for all three"),
    ],
)
def test_what_cannot_be_is_refused_before_there_is_a_pod(carob: Command, words: list[str], said: str) -> None:
    result = carob("run", "busybox", *words)
    assert result.returncode == 125
    assert said in result.stderr
    assert carob.json("list") == []


# --- standard input -------------------------------------------------------------------------------


def test_run_interactive_passes_standard_input_on_to_its_end(carob: Command) -> None:
    much = "0123456789abcdef" * 65536
    result = carob("run", "--rm", "-i", "busybox", "--", "sh", "-c", "cat; exit 5", input=much)
    assert (result.returncode, result.stdout == much, result.stderr) == (5, True, "")
    assert carob("run", "--rm", "busybox", "--", "cat", input="no").stdout == ""


def test_the_input_of_a_killed_run_ends(carob: Command) -> None:
    with carob.start(
        "run", "-i", "busybox", "--", "sh", "-c", "echo up; cat; echo over", stdin=subprocess.PIPE
    ) as it:
        assert it.stdout is not None
        assert it.stdout.readline() == b"up\n"
        it.kill()
    uuid = carob.json("list")[0]["uuid"]
    carob.ok("status", "--wait", uuid)
    assert text_of(carob, uuid) == "up\nover\n"


def test_attach_without_a_terminal(carob: Command) -> None:
    script = "while read line; do echo got $line; echo err >&2; test $line = end && exit 4; done; exit 9"
    uuid = carob.detached("busybox", "-i", "--", "sh", "-c", script)
    with carob.start("attach", uuid, stdin=subprocess.PIPE) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdin.write(b"one\n")
        first.stdin.close()  # which is not the end of the app's input
        assert first.stdout.readline() == b"got one\n"
        with carob.start("attach", uuid, stdin=subprocess.PIPE) as second:
            assert second.stdin is not None
            second.stdin.write(b"end\n")
            second.stdin.flush()
            assert second.wait(PATIENCE_S) == 4
            assert second.stdout is not None
            assert b"got end\n" in second.stdout.read()
        assert first.wait(PATIENCE_S) == 4
        assert first.stdout.read() == b"got end\n"
        assert first.stderr is not None
        assert first.stderr.read() == b"err\nerr\n"
    wrong = carob("attach", "--app=none", uuid)
    assert (wrong.returncode, "has no app" in wrong.stderr) == (125, True)


# --- terminals ------------------------------------------------------------------------------------


class Terminal:
    """Both sides of one, and what it has shown."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.ours, (33, 101))
        self.shown = b""

    def streams(self) -> dict[str, Any]:
        """For ``Command.start``."""
        return {**dict.fromkeys(("stdin", "stdout", "stderr"), self.theirs), "start_new_session": True}

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def until(self, text: bytes) -> None:
        def look() -> bool:
            os.set_blocking(self.ours, False)
            try:
                self.shown += os.read(self.ours, 4096)
            except BlockingIOError:
                pass
            return text in self.shown

        eventually(look)
        self.shown = self.shown.partition(text)[2]


@contextmanager
def started(carob: Command, *words: str) -> Iterator[tuple[Terminal, subprocess.Popen[bytes]]]:
    """A verb on a terminal of its own, which is as it was before when the verb has ended."""
    made = Terminal()
    before = termios.tcgetattr(made.theirs)
    try:
        with carob.start(*words, **made.streams()) as process:
            try:
                yield made, process
            finally:
                process.kill()
        assert termios.tcgetattr(made.theirs) == before
    finally:
        os.close(made.ours)
        os.close(made.theirs)


def test_run_with_a_terminal(carob: Command) -> None:
    with started(carob, "run", "--rm", "-it", "busybox", "--", "sh") as (here, process):
        here.until(b"# ")
        here.type(b"stty size\n")
        here.until(b"33 101\r\n")
        here.type(b"echo rea''dy; cat\n")
        here.until(b"ready\r\n")
        here.type(b"x\x10y\x03")  # half of the keys that leave it are the app's; so is an interrupt
        here.until(b"# ")
        here.type(b"exit 6\n")
        assert process.wait(PATIENCE_S) == 6
    assert carob.json("list") == []


def test_leaving_a_terminal_and_coming_back(carob: Command) -> None:
    with started(carob, "run", "--rm", "-it", "busybox", "--", "sh") as (here, process):
        here.until(b"# ")
        here.type(b"\x10\x11")
        assert process.wait(PATIENCE_S) == 0
        here.until(b"runs on")
    (pod,) = carob.json("list")
    assert pod["state"] == "running", "--rm is for its end"
    with started(carob, "attach", "--detach-keys=ctrl-a,x", pod["uuid"]) as (here, process):
        here.type(b"echo b''ack\n")
        here.until(b"back\r\n")
        here.type(b"\x01x")
        assert process.wait(PATIENCE_S) == 0
    with started(carob, "attach", pod["uuid"]) as (here, process):
        here.type(b"exit 8\n")
        assert process.wait(PATIENCE_S) == 8


def test_a_terminal_is_restored_when_the_pod_is_stopped(carob: Command) -> None:
    with started(carob, "run", "-it", "busybox", "--", "sh") as (here, process):
        here.until(b"# ")
        carob.ok("stop", "--grace=0", carob.json("list")[0]["uuid"])
        assert process.wait(PATIENCE_S) == 137

"""The verbs that look at pods, enter them and end them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE_S, Command, eventually

pytestmark = pytest.mark.root
FOREVER = "while :; do sleep 0.05; done"


def test_list_has_a_row_an_app(carob: Command) -> None:
    assert carob.ok("list", "--no-legend") == ""
    one = carob.ok("prepare", "--name=pair", "busybox", "--", "true", "---", "busybox", "--", "true").strip()
    two = carob.detached("busybox", "--name=alone", "--", "sleep", "60")
    legend, *rows = carob.ok("list").splitlines()
    columns = ["UUID", "NAME", "APP", "IMAGE NAME", "STATE", "CREATED", "STARTED", "NETWORKS"]
    starts = [legend.index(name) for name in columns]
    cells = [
        [row[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        for row in rows
    ]
    image = "busybox:latest"
    pair = [[one[:8], "pair", "busybox", image, "prepared"], ["", "", "busybox-2", image, ""]]
    alone = [[two[:8], "", "alone", image, "running"]]
    assert [row[:5] for row in cells] == (pair + alone if one < two else alone + pair)
    assert carob.ok("list", "--no-legend", "--full").count("sha256:") == 3
    documents = {pod["uuid"]: pod for pod in carob.json("list")}
    assert documents[two]["state"] == "running"
    assert [app["name"] for app in documents[one]["apps"]] == ["busybox", "busybox-2"]
    full = json.loads(carob.ok("list", "--full", "--format=json-pretty"))
    assert {pod["uuid"]: pod["started_ns"] is None for pod in full} == {one: True, two: False}


def test_list_passes_over_what_is_no_pod(bare: Command) -> None:
    (bare.data_dir / "pods/run/junk").mkdir(parents=True)
    result = bare("list", "--format=json")
    assert (result.returncode, result.stdout) == (0, "[]\n")
    assert result.stderr.startswith("carob: passed over run/junk: ")


def test_logs(carob: Command) -> None:
    script = "echo two >&2; sleep 0.1; echo one; printf three"
    uuid = carob.detached("busybox", "--name=a", "--", "sh", "-c", script)
    carob.ok("status", "--wait", uuid)
    result = carob("logs", uuid)
    assert (result.stdout, result.stderr) == ("one\nthree", "two\n")
    assert carob.ok("logs", "--tail=1", uuid, "a") == "three"
    assert carob.ok("logs", "--since=@99999999999", uuid) == ""
    assert carob.ok("logs", "--since=1h", uuid) == "one\nthree"
    entries = [json.loads(line) for line in carob.ok("logs", "--format=json", uuid).splitlines()]
    assert sorted((entry["stream"], entry["data"], entry["partial"]) for entry in entries) == [
        ("stderr", "two", False),
        ("stdout", "one", False),
        ("stdout", "three", True),
    ]
    assert all(line.split()[1] == "a" for line in carob.ok("logs", "-t", uuid).splitlines())
    assert "has no app 'b'" in carob("logs", uuid, "b").stderr


def test_logs_follow_until_the_pod_ends(carob: Command) -> None:
    uuid = carob.detached("busybox", "--", "sh", "-c", f"trap 'echo over; exit 0' TERM; echo up; {FOREVER}")
    with carob.start("logs", "-f", uuid) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert process.poll() is None
        carob.ok("stop", uuid)
        assert process.stdout.read() == b"over\n"
        assert process.wait() == 0


def test_stop_force_rm_and_the_record_that_stays(carob: Command, tmp_path: Path) -> None:
    saved = tmp_path / "uuid"
    uuid = carob.detached(
        "--uuid-file-save", str(saved), "busybox", "--", "sh", "-c", f"trap : TERM; {FOREVER}"
    )
    assert saved.read_text() == uuid
    refused = carob("rm", uuid)
    assert refused.returncode == 125
    assert f"pod {uuid} is running (stop it first" in refused.stderr
    assert carob.ok("stop", "--grace=10ms", "--uuid-file", str(saved)) == f"{uuid}\n"
    assert carob.json("status", uuid)["apps"][0]["end"] == {"kind": "signaled", "signal": 9}
    both = carob("rm", "nosuch", uuid)
    assert (both.returncode, both.stdout) == (125, f"{uuid}\n")
    assert carob.json("status", uuid)["state"] == "gone"
    assert carob("status", uuid[:8]).returncode == 125


def test_gc_marks_then_deletes(carob: Command) -> None:
    carob.ok("run", "busybox", "--", "true")
    (pod,) = carob.json("list")
    assert carob.ok("gc", "--mark-only") == f"marked {pod['uuid']}\n"
    assert carob.json("list")[0]["state"] == "exited garbage"
    assert carob.json("gc")["deleted"] == []
    assert carob.ok("gc", "--grace-period=0") == f"deleted {pod['uuid']}\n"
    assert carob.ok("gc", env={"CAROB_GC_EXPIRE_PREPARED_S": "0"}) == ""


def test_enter_relays_bytes_and_the_exit_status(carob: Command) -> None:
    uuid = carob.detached("busybox", "--", "sleep", "60")
    data = os.urandom(300_000)
    with carob.start("enter", uuid, "cat", stdin=subprocess.PIPE) as process:
        assert process.communicate(data) == (data, b"")
        assert process.returncode == 0
    result = carob("enter", "-e", "K=v", "-w", "/tmp", uuid, "sh", "-c", 'echo "$K $PWD"; echo e >&2; exit 9')
    assert (result.returncode, result.stdout, result.stderr) == (9, "v /tmp\n", "e\n")
    assert carob("enter", uuid, "sh", "-c", "kill -15 $$").returncode == 143
    assert carob("enter", uuid, "nosuch").returncode == 127
    assert carob("enter", uuid, "--", "/etc").returncode == 126
    assert "has several apps" not in carob("enter", "--app=busybox", uuid, "true").stderr


def test_enter_takes_input_and_gives_output_at_the_same_time(carob: Command) -> None:
    """Neither side waits for the other: the process writes much before it reads anything."""
    uuid = carob.detached("busybox", "--", "sleep", "60")
    script = "i=0; while [ $i -lt 2000 ]; do printf %0500d 0; i=$((i+1)); done; cat >/dev/null"
    with carob.start("enter", uuid, "sh", "-c", script, stdin=subprocess.PIPE) as process:
        out, _ = process.communicate(bytes(1_000_000))
    assert (process.returncode, len(out)) == (0, 1_000_000)


def test_enter_with_a_terminal(carob: Command) -> None:
    uuid = carob.detached("busybox", "--", "sleep", "60")
    # A change comes a moment after its signal.
    change = 'until [ "$(stty size)" = "20 80" ]; do sleep 0.05; done; stty size'
    script = (
        f"trap 'exit 6' INT; tty >/dev/null || exit 1; sleep 0.3; stty size; read word; {change}; {FOREVER}"
    )
    ours, theirs = pty.openpty()
    try:
        _resize(ours, 33, 101)
        before = termios.tcgetattr(theirs)
        with carob.start(
            *("enter", uuid, "sh", "-c", script),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            assert "33 101" in _read_until(ours, "33 101")
            _resize(ours, 20, 80)
            process.send_signal(signal.SIGWINCH)
            os.write(ours, b"go\n")
            assert "20 80" in _read_until(ours, "20 80")
            os.write(ours, b"\x03")  # the pod's terminal makes a signal of it, carob's does not
            assert process.wait(PATIENCE_S) == 6
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)


def _process_of(carob: Command, uuid: str, word: str) -> str:
    """The number, in the app, of the one process whose command line has this word; ``""`` for none."""
    others = "for p in /proc/[0-9]*; do [ $p = /proc/$$ ] ||"
    script = f"{others} ! grep -q {word} $p/cmdline || echo ${{p#/proc/}}; done"
    return carob("enter", uuid, "sh", "-c", script).stdout.strip()


def test_who_has_a_terminal_hears_of_its_end_however_that_comes(carob: Command) -> None:
    uuid = carob.detached("busybox", "--", "sleep", "60")
    ours, theirs = pty.openpty()
    try:
        script = f"trap 'echo heard >/tmp/hup; exit' HUP; echo up; {FOREVER}"
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        with carob.start("enter", uuid, "sh", "-c", script, **streams, start_new_session=True) as process:
            assert "up" in _read_until(ours, "up")
            process.kill()
            process.wait()
        eventually(lambda: carob("enter", uuid, "cat", "/tmp/hup").stdout == "heard\n")
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("numbers", "status"),
    [([signal.SIGTERM], 143), ([signal.SIGHUP], 129), ([signal.SIGINT], 130)],
)
def test_signals_reach_a_command_without_a_terminal(
    carob: Command, numbers: list[signal.Signals], status: int
) -> None:
    uuid = carob.detached("busybox", "--", "sleep", "60")
    with carob.start("enter", uuid, "sh", "-c", "echo up; exec sleep 4711") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        for number in numbers:
            process.send_signal(number)
        process.communicate()
    assert process.returncode == status
    assert _process_of(carob, uuid, "4711") == ""


def test_a_second_interrupt_kills_a_command_that_does_not_listen(carob: Command) -> None:
    uuid = carob.detached("busybox", "--", "sleep", "60")
    script = f"trap 'echo no' INT; echo up; {FOREVER}"
    with carob.start("enter", uuid, "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"no\n"
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 137


def test_a_command_without_a_terminal_outlives_a_killed_caller(carob: Command) -> None:
    """As it does with docker exec and podman exec: nobody is there to tell it."""
    uuid = carob.detached("busybox", "--", "sleep", "60")
    with carob.start("enter", uuid, "sh", "-c", "echo up; exec sleep 4711") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.kill()
        process.communicate()
    assert _process_of(carob, uuid, "4711") != ""


def test_status_tells_when_a_running_app_was_started(carob: Command) -> None:
    before_ns = time.time_ns()
    uuid = carob.detached("busybox", "--", "sleep", "60")
    (app,) = carob.json("status", uuid)["apps"]
    assert app["state"] == "running"
    assert before_ns < app["started_ns"] < time.time_ns()
    carob.ok("stop", "--force", uuid)
    (ended,) = carob.json("status", uuid)["apps"]
    assert ended["started_ns"] == app["started_ns"]


def test_many_may_remove_one_pod_at_once(carob: Command) -> None:
    for _ in range(3):
        uuid = carob.detached("busybox", "--", "sleep", "60")
        racers = [carob.start("rm", "--force", uuid) for _ in range(6)]
        results = [(*process.communicate(), process.wait()) for process in racers]
        assert set(results) == {(f"{uuid}\n".encode(), b"", 0)}


def _resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _read_until(terminal: int, words: str) -> str:
    text = ""
    deadline = time.monotonic() + PATIENCE_S
    while words not in text and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            text += os.read(terminal, 4096).decode()
    return text


def test_images(carob: Command, rootfs: Path, tmp_path: Path) -> None:
    (image,) = carob.json("image", "list")
    assert image["names"] == ["busybox:latest"]
    assert carob.json("image", "import", str(rootfs), "--name=other:1")["name"] == "other:1"
    assert carob.ok("image", "list", "--no-legend").split()[0] == "busybox:latest"
    assert "needs a name" in carob("image", "import", str(rootfs)).stderr
    carob.ok("prepare", "busybox", "--", "true")
    short = carob("image", "rm", image["image_id"][: len("sha256:") + 3])
    assert (short.returncode, "too short for an image id" in short.stderr) == (125, True)
    assert len(carob.json("image", "list")) == 1
    carob.ok("image", "rm", "other:1")
    refused = carob("image", "rm", "busybox")
    assert refused.returncode == 125
    assert carob.ok("image", "gc").startswith("0 blobs")

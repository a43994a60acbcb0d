"""``run``, ``prepare`` and ``run-prepared`` with real pods."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Command, eventually
from tests.needs import require_command

pytestmark = pytest.mark.root
FOREVER = "while :; do sleep 0.05; done"


def test_output_and_exit_status_are_the_apps_own(carob: Command) -> None:
    result = carob("run", "busybox", "--", "sh", "-c", "echo hi; echo oops >&2; exit 3")
    assert (result.returncode, result.stdout, result.stderr) == (3, "hi\n", "oops\n")


def test_every_byte_is_passed_on(carob: Command) -> None:
    with carob.start("run", "busybox", "--", "sh", "-c", r'printf "a\0b\377\r\nno end"') as process:
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, b"a\0b\xff\r\nno end", b"")


def test_output_comes_while_the_pod_runs(carob: Command) -> None:
    with carob.start("run", "busybox", "--", "sh", "-c", f"echo up; {FOREVER}") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        process.communicate()


def test_the_app_that_failed_decides_the_exit_status(carob: Command, tmp_path: Path) -> None:
    saved = tmp_path / "uuid"
    result = carob(
        *("run", "--name", "trio", "--uuid-file-save", str(saved)),
        *("busybox", "--name", "first", "--", "sleep", "60", "---"),
        *("busybox", "--name", "second", "--", "sh", "-c", "exit 7", "---"),
        *("busybox", "--", "sleep", "60"),
    )
    assert result.returncode == 7
    pod = carob.json("status", saved.read_text())
    assert (pod["name"], pod["state"], pod["outcome"]) == ("trio", "exited", "app failed")
    assert [app["name"] for app in pod["apps"]] == ["first", "second", "busybox"]
    assert pod["apps"][1]["end"] == {"kind": "exited", "code": 7}
    assert pod["apps"][0]["end"]["kind"] == "signaled"
    assert "app-second=7" in carob.ok("status", saved.read_text()).splitlines()


@pytest.mark.parametrize(("words", "code"), [(["nosuch"], 127), (["/etc"], 126)])
def test_what_cannot_be_run_has_the_shells_status(carob: Command, words: list[str], code: int) -> None:
    result = carob("run", "--rm", "busybox", "--", *words)
    assert result.returncode == code
    assert result.stderr.startswith("carob: app busybox could not be started: ")
    assert len(result.stderr.splitlines()) == 1
    assert carob.json("list") == []


def test_a_killed_app_gives_128_and_its_signal(carob: Command) -> None:
    assert carob("run", "busybox", "--", "sh", "-c", "sh -c 'kill -9 $$'; exit $?").returncode == 137


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_reach_the_app_as_its_stop_signal(carob: Command, number: signal.Signals) -> None:
    script = f"trap 'echo stopping; exit 5' TERM; echo up; {FOREVER}"
    with carob.start("run", "--rm", "busybox", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (5, b"stopping\n", b"")
    assert carob.json("list") == []


def test_a_second_interrupt_kills(carob: Command) -> None:
    script = f"trap 'echo no' TERM; echo up; {FOREVER}"
    with carob.start("run", "--rm", "--grace=1h", "busybox", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"no\n"
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 137
    assert carob.json("list") == []


def test_an_ignored_signal_stays_ignored(carob: Command) -> None:
    command = [*carob.argv, "run", "busybox", "--", "sh", "-c", "echo up; sleep 1; exit 4"]
    with subprocess.Popen(
        ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *command],
        env=carob.environment,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGHUP)
        process.communicate()
    assert process.returncode == 4


def test_the_foreground_ends_when_the_pod_is_ended_elsewhere(carob: Command) -> None:
    with carob.start("run", "busybox", "--", "sh", "-c", f"echo up; {FOREVER}") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        (pod,) = carob.json("list")
        carob.ok("rm", "--force", pod["uuid"])
        process.communicate()
    assert process.returncode == 125  # nobody saw the app's end


def test_a_reader_that_goes_away_ends_the_pod_quietly(carob: Command) -> None:
    with carob.start("run", "--rm", "busybox", "--", "yes") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
    assert carob.json("list") == []


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_full_device_ends_the_pod_and_is_told(carob: Command, stream: str) -> None:
    script = f"echo out; echo err >&2; {FOREVER}"
    with (
        open("/dev/full", "wb") as full,
        carob.start("run", "--grace=0", "busybox", "--", "sh", "-c", script, **{stream: full}) as process,
    ):
        _, err = process.communicate()
    assert process.returncode == 125
    if stream == "stdout":
        words = b"carob: the pod is stopped: standard output cannot be written: No space left on device\n"
        assert err.replace(b"err\n", b"") == words
    (pod,) = carob.json("list")
    assert (pod["state"], carob.json("status", pod["uuid"])["outcome"]) == ("exited", "stopped")


@pytest.mark.parametrize(
    ("words", "does", "state"),
    [(["run", "--detach"], "runs", "running"), (["prepare"], "is prepared", "prepared")],
)
def test_a_uuid_that_cannot_be_printed_is_in_the_error(
    carob: Command, words: list[str], does: str, state: str
) -> None:
    command = (*words, "busybox", "--", "sleep", "60")
    with open("/dev/full", "wb") as full, carob.start(*command, stdout=full) as process:
        _, err = process.communicate()
    (pod,) = carob.json("list")
    assert (process.returncode, pod["state"]) == (125, state)
    told = f"carob: pod {pod['uuid']} {does}, but its uuid could not be printed: standard output cannot be"
    assert err.decode().startswith(told)
    carob.ok("rm", "--force", pod["uuid"])
    reading, writing = os.pipe()
    os.close(reading)
    with carob.start(*command, stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate()
    (pod,) = carob.json("list")
    assert process.returncode == 141
    assert err.decode() == f"carob: pod {pod['uuid']} {does}, but nobody reads its uuid\n"


def test_every_pod_is_stopped_even_where_nothing_can_be_printed(carob: Command) -> None:
    uuids = [carob.detached("busybox", "--", "sleep", "60") for _ in range(2)]
    with open("/dev/full", "wb") as full, carob.start("rm", "--force", *uuids, stdout=full) as process:
        _, err = process.communicate()
    assert (process.returncode, err.count(b"\n"), carob.json("list")) == (125, 1, [])


def test_a_pod_that_could_not_be_started_is_kept_and_the_user_told(carob: Command) -> None:
    result = carob("run", "busybox", "--", "nosuch")
    (pod,) = carob.json("list")
    assert result.returncode == 127
    assert result.stderr.endswith(f"(its pod is kept: carob status {pod['uuid']})\n")
    assert carob.json("status", pod["uuid"])["outcome"] == "failed to start"


def test_a_volume_that_is_not_there_is_told_before_anything_is_made(carob: Command, tmp_path: Path) -> None:
    for verb in ("run", "prepare"):
        result = carob(verb, f"--volume={tmp_path}/nosuch:/data", "busybox", "--name=web", "--", "true")
        assert result.returncode == 125
        expected = (
            f"carob: app web: the volume {tmp_path}/nosuch for /data is not there: No such file or directory"
        )
        assert result.stderr.startswith(expected)
    assert carob.json("list") == []


def test_detach_prints_the_uuid_and_wait_tells_the_end(carob: Command) -> None:
    uuid = carob.detached("busybox", "--", "sh", "-c", "sleep 0.3; exit 4")
    assert carob.json("status", uuid[:13])["state"] == "running"
    assert "app-busybox=4" in carob.ok("status", "--wait", uuid).splitlines()
    assert carob("status", "--wait=10ms", carob.detached("busybox", "--", "sleep", "9")).returncode == 125


def test_a_pod_dies_with_its_caller(carob: Command) -> None:
    words = ("run", "--die-with-caller", "busybox", "--", "sh", "-c", f"echo up; {FOREVER}")
    with carob.start(*words) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.kill()
        process.communicate()
    eventually(lambda: carob.json("list") == [])


def test_prepare_then_run_once(carob: Command) -> None:
    uuid = carob.ok("prepare", "busybox", "--", "echo", "prepared").strip()
    assert carob.json("status", uuid)["state"] == "prepared"
    assert carob.ok("run-prepared", uuid) == "prepared\n"
    again = carob("run-prepared", uuid)
    assert again.returncode == 125
    assert f"pod {uuid} is exited, not prepared" in again.stderr


def test_what_is_asked_for_reaches_the_app(carob: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the host\n")
    tmp_path.chmod(0o755)
    script = 'echo "$A $B $C $PWD $(hostname)"; id -u; cat /one/file; cat /two/file'
    result = carob(
        *("run", "--rm", "--env=A=pod", "-e", "B=pod", "--hostname=box", f"--volume={tmp_path}:/one:ro"),
        f"--volume=data,kind=host,source={tmp_path}",
        *("busybox", "--env=B=app", "--env", "C", "--workdir=/tmp", "--user=ann"),
        *("--mount", "volume=data,target=/two", "--", "sh", "-c", script),
        env={"C": "here"},
    )
    assert result.stdout.splitlines() == ["pod app here /tmp box", "7", "of the host", "of the host"]
    write = ("busybox", "--", "sh", "-c", "echo x >/one/file")
    refused = carob("run", "--rm", f"--volume={tmp_path}:/one:ro", *write)
    assert "Read-only file system" in refused.stderr
    carob.ok("run", "--rm", f"--volume={tmp_path}:/one", *write)
    assert (tmp_path / "file").read_text() == "x\n"


@pytest.mark.parametrize("options", [["--net=host"], ["--no-overlay"], ["--runtime=runc"]])
def test_other_ways_to_run(carob: Command, options: list[str]) -> None:
    if "--runtime=runc" in options:
        require_command("runc")
    assert carob.ok("run", "--rm", *options, "busybox", "--", "echo", "hi") == "hi\n"


def test_a_pod_manifest_makes_the_same_pod_again(carob: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x\n")
    uuid = carob.ok(
        *("prepare", "--name=first", f"--volume={tmp_path}:/v:ro", "busybox", "--name=one", "--env=K=v"),
        *("--", "sh", "-c", 'echo "$K"; cat /v/file; exit 6'),
    ).strip()
    manifest = carob.ok("cat-manifest", uuid)
    path = tmp_path / "pod.json"
    path.write_text(manifest)
    result = carob("run", "--uuid-file-save", str(tmp_path / "uuid"), "--pod-manifest", str(path))
    assert (result.returncode, result.stdout) == (6, "v\nx\n")
    pod = carob.json("status", (tmp_path / "uuid").read_text())
    assert (pod["name"], [app["name"] for app in pod["apps"]]) == ("first", ["one"])
    document = json.loads(manifest)
    document["isolators"] = [
        {"name": "resource/network-bandwidth", "value": {"default": True, "limit": "1G"}}
    ]
    result = carob("prepare", "--pod-manifest", "-", input=json.dumps(document))
    assert result.returncode == 125
    assert "-: isolators" in result.stderr


def test_debug_shows_phases_and_the_runtime_commands(carob: Command) -> None:
    result = carob("--debug", "run", "--rm", "busybox", "--", "true")
    assert result.stdout == ""
    for words in (" made", " prepared", " ready", "init runs: /", "run --detach --pid-file=/run/busybox.pid"):
        assert words in result.stderr
    assert all(line.startswith("carob: ") for line in result.stderr.splitlines())

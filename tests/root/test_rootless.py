"""Pods of a user who is not root, in a user namespace with the user's ranges of owners or the user alone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.needs import require_command
from tests.root.host_view import eventually
from tests.root.test_unpack_userns import FIRST, RANGE, Account
from tests.root.test_unpack_userns import user as user  # noqa: PLC0414 - a fixture

SIGKILLED = "Signaled(signal=9)"
START = """
import json, os, sys, time; sys.path[:0] = [sys.argv[1] + "/src"]
from carob import App, Engine, Exited, Mount, errors
engine, told = Engine(sys.argv[2]), {}
engine.images.import_path(sys.argv[3], name="busybox")

def sh(script, **more):
    return App("busybox", ["sh", "-c", script], **more)

def said(*apps, **more):
    with engine.run(*apps, **more) as pod:
        ends = pod.wait(timeout_s=60).apps
        return {name: [str(end), pod.logs(name).text()] for name, end in ends.items()}

def refused(what):
    try:
        what()
    except errors.CarobError as error:
        return [type(error).__name__, error.message, error.hint]
"""

STORY = (
    START
    + """
told["map"] = said(sh("cat /proc/self/uid_map; id -u; ls /sys/class/net; touch /x && stat -c %u /x"))
told["three"] = said(sh("exit 0", name="a"), sh("hostname; sleep 0.5; exit 3", name="b"),
                     sh("exec sleep 1000", name="c"), hostname="inside", grace_s=0)
told["locked"] = said(sh("for f in /sys/kernel/x /proc/sys/kernel/hostname /proc/sysrq-trigger; do"
                         " echo 0 2>/dev/null >$f; done; grep -E 'CapEff|NoNewPrivs' /proc/self/status"))
told["host network"] = said(sh("ls /sys/class/net /sys/fs/cgroup; touch /sys/x 2>&1; cat /proc/net/dev"),
                            network="host")
told["worker"] = said(sh("id -u; id -g", user="worker"))

volume = sys.argv[2] + "/../volume"
os.mkdir(volume)
os.chmod(volume, 0o777)
told["volume"] = said(sh("touch /v/root; exec su worker -c 'touch /v/worker'", mounts=[Mount(volume, "/v")]),
                      sh("sleep 1; touch /v/x", name="ro", mounts=[Mount(volume, "/v", read_only=True)]),
                      grace_s=5)
told["owners"] = {name: os.stat(volume + "/" + name).st_uid for name in sorted(os.listdir(volume))}

pod = engine.run(sh("mkdir -p /d/e && touch /d/e/f && chown -R 1234:2345 /d && chmod 0 /d && echo made;"
                    "exec sleep 1000"))
while pod.logs().text() != "made\\n":
    time.sleep(0.01)
told["exec"] = pod.exec(["cat"], input=b"hi").stdout.decode()
told["state"] = str(pod.status().state)
pod.stop(grace_s=0)
told["stopped"] = str(pod.wait().apps["busybox"])
told["foreign"] = [os.stat(f"{top}/d").st_uid for top, names, _ in os.walk(engine.data_dir + "/pods")
                   if "d" in names]
pod.remove()
kept = engine.run(sh("mkdir /d && chown 1234:2345 /d"))
kept.wait(timeout_s=60)
told["gc"] = [engine.gc(grace_s=0).deleted == [kept.uuid], engine.gc(grace_s=0).problems]
told["left"] = [str(status.state) for status in engine.list()]

told["runc"] = refused(lambda: engine.run(sh("true"), runtime="runc"))
told["nobody"] = refused(lambda: engine.run(sh("true", user="100000")))
told["no copy"] = said(sh("cat /etc/hostname; touch /y"), overlay=False)
print(json.dumps(told))
"""
)

ALONE = (
    START
    + """
told["map"] = said(sh("cat /proc/self/uid_map; test -c /dev/ptmx; echo $?"))
told["worker"] = refused(lambda: engine.run(sh("true", user="worker")))
print(json.dumps(told))
"""
)

TIED = (
    START
    + """
with engine.run(sh("mkdir /d && chown 1234:2345 /d && exec sleep 1000")) as pod:
    print(pod.uuid, flush=True)
    time.sleep(1000)
"""
)


@pytest.fixture
def root_tar(user: Account, rootfs: Path) -> Iterator[str]:
    """The root file system as an archive that the user can read."""
    require_command("crun")
    path = user.place / "root.tar"
    subprocess.run(["tar", "-C", rootfs, "-cf", path, "."], check=True)
    yield str(path)
    eventually("no process is left", lambda: not [pid for pid in processes() if owner(pid) == user.uid])


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def owner(pid: int) -> int:
    """Of a process that lives: a zombie is its parent's affair."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return -1 if lines["State"].startswith("Z") else int(lines["Uid"].split()[0])


def test_what_pods_do_for_who_is_not_root(user: Account, root_tar: str) -> None:
    run = user.run(STORY, root_tar, check=False)
    assert run.returncode == 0, run.stderr
    told: dict[str, Any] = json.loads(run.stdout)

    end, said = told["map"]["busybox"]
    assert end == "Exited(code=0)"
    assert [[int(word) for word in line.split()] for line in said.splitlines()[:2]] == [
        [0, user.uid, 1],
        [1, FIRST, RANGE],
    ]
    assert said.splitlines()[2:] == ["0", "lo", "0"]
    assert told["three"]["a"][0] == "Exited(code=0)"
    assert told["three"]["b"] == ["Exited(code=3)", "inside\n"]
    assert told["three"]["c"][0] == SIGKILLED
    assert told["locked"]["busybox"][1].split() == ["CapEff:", "00000000800405fb", "NoNewPrivs:", "1"]

    said = told["host network"]["busybox"][1]
    assert "touch: /sys/x: Read-only file system" in said
    assert len(said.split("Inter-|")[1].splitlines()) == len(Path("/proc/net/dev").read_text().splitlines())

    assert told["worker"]["busybox"][1].split() == ["1234", "2345"]
    assert told["owners"] == {"root": user.uid, "worker": FIRST + 1233}
    assert told["volume"]["ro"][0] == "Exited(code=1)"
    assert told["exec"] == "hi"
    assert told["state"] == "running"
    assert told["stopped"] == SIGKILLED
    assert told["foreign"] == [FIRST + 1233]
    assert told["gc"] == [True, []]
    assert told["left"] == []
    assert told["runc"][0] == "Unsupported"
    assert told["nobody"][0] == "InvalidInput"
    assert "/etc/subuid" in told["nobody"][2]
    assert told["no copy"]["busybox"][0] == "Exited(code=0)"


def test_a_user_without_ranges_is_alone(user: Account, root_tar: str) -> None:
    user.ranges.write_text("")
    run = user.run(ALONE, root_tar, check=False)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    end, said = told["map"]["busybox"]
    assert end == "Exited(code=0)"
    assert [int(word) for word in said.split()] == [0, user.uid, 1, 0]
    assert told["worker"][0] == "InvalidInput"
    assert "/etc/subuid" in told["worker"][2]


def test_a_pod_goes_with_its_caller(user: Account, root_tar: str) -> None:
    with subprocess.Popen(user.command(TIED, root_tar), stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        uuid = caller.stdout.readline().strip()
        assert len(uuid) == 36
        caller.kill()
    pods = user.data / "pods"
    eventually("the pod is removed", lambda: not list(pods.glob(f"*/{uuid}")))

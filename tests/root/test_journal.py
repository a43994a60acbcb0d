"""Pods with the journal driver have a journal that systemd's own journalctl reads."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from carob import App, Engine, PodHandle
from carob.engine.request.log_limits import LogLimits
from carob.errors import InvalidInput
from carob.pod import open_pod
from tests.needs import require_command
from tests.root import host_view

TALKS = r"""
echo first; echo trouble >&2; printf 'in '; sleep 0.1; printf 'pieces\n'; printf 'a\000b\377\n'
while [ ! -e /go ]; do sleep 0.02; done
i=0; while [ $i -lt 3000 ]; do echo "line $((i=i+1))"; done; printf unended
"""


@pytest.fixture(autouse=True)
def _has_journalctl() -> None:
    require_command("journalctl")


def journal(engine: Engine, pod: PodHandle) -> str:
    with open_pod(engine.data_dir, pod.uuid) as opened:
        return opened.journal_log_path()


def read(path: str, *words: str) -> list[dict[str, Any]]:
    command = ["journalctl", "--directory", path, "--output=json", "--all", "--quiet", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_journalctl_reads_what_the_apps_wrote(engine: Engine) -> None:
    apps = [
        App("busybox", ["sh", "-c", TALKS], name="talks"),
        App("busybox", ["echo", "other"], name="other"),
    ]
    with engine.run(*apps, log_driver="journald", hostname="here") as pod:
        path = journal(engine, pod)
        host_view.eventually("it is there", lambda: os.path.isdir(path) and len(read(path)) == 5)
        live = read(path, "--identifier=talks")
        assert [one["MESSAGE"] for one in live[:3]] == ["first", "trouble", "in pieces"]
        assert bytes(live[3]["MESSAGE"]) == b"a\0b\377"
        assert [one["PRIORITY"] for one in live] == ["6", "3", "6", "6"]
        assert {(one["CAROB_POD"], one["_HOSTNAME"]) for one in live} == {(pod.uuid, "here")}
        pod.exec(["touch", "/go"], app="talks")
        pod.wait()
        ended = read(path, "SYSLOG_IDENTIFIER=talks")
        assert [one["MESSAGE"] for one in ended[4:-1]] == [f"line {number}" for number in range(1, 3001)]
        assert ended[-1]["MESSAGE"] == "unended"
        assert [one["MESSAGE"] for one in read(path, "MESSAGE=other", "_TRANSPORT=stdout")] == ["other"]
        times = [int(one["__REALTIME_TIMESTAMP"]) for one in read(path)]
        assert times == sorted(times)
        verified = subprocess.run(
            ["journalctl", "--verify", "--directory", path], capture_output=True, text=True, check=False
        )
        assert verified.returncode == 0, verified.stderr
        assert "PASS" in verified.stderr
        assert "line 3000" in pod.logs("talks").text()  # the log is there as ever


def test_a_pod_that_is_killed_leaves_a_journal_that_is_read(engine: Engine) -> None:
    flood = "i=0; while :; do echo line $((i=i+1)); done"
    with engine.run(App("busybox", ["sh", "-c", flood]), log_driver="journald") as pod:
        path = journal(engine, pod)
        host_view.eventually(
            "it is there", lambda: os.path.isdir(path) and len(read(path, "-n", "2000")) == 2000
        )
        pod.kill()
        messages = [one["MESSAGE"] for one in read(path)]
        assert messages == [f"line {number}" for number in range(1, len(messages) + 1)]


def test_a_pod_without_it_has_none_and_bounds_do_not_go_with_it(engine: Engine) -> None:
    with engine.run(App("busybox", ["true"])) as pod:
        pod.wait()
        assert not os.path.exists(journal(engine, pod))
    with pytest.raises(InvalidInput):
        engine.prepare(App("busybox"), log_driver="syslog")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        engine.prepare(App("busybox"), log_driver="journald", log_limits=LogLimits(1 << 20))

"""``--isolation=none`` on the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Command


def test_a_tool_for_the_host(carob: Command) -> None:
    settings = {"CAROB_NETWORK": "default"}  # a setting is for pods that may choose
    script = "echo $(cat /proc/sys/kernel/hostname /proc/1/comm); cat /etc/hostname; echo $HOSTNAME"
    done = carob("run", "--rm", "--isolation=none", "busybox", "--", "sh", "-c", script, env=settings)
    name = os.uname().nodename
    assert done.stdout == f"{name} {Path('/proc/1/comm').read_text()}{name}\n{name}\n"
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pid=private", "busybox"), "--isolation=none and --pid=private do not go together"),
        (("--uts=pod", "busybox"), "--uts=pod"),
        (("--net=default", "busybox"), "the host's network"),
        (("-p", "80:80", "busybox"), "ports cannot be published"),
        (("busybox", "--", "true", "---", "busybox"), "one app, not 2"),
        (("--hostname=x", "busybox"), "cannot be given another"),
        (("--device=/dev/null", "busybox"), "has the host's /dev"),
        (("--userns=auto", "busybox"), "userns"),
    ],
)
def test_what_does_not_go_together_is_refused(carob: Command, words: tuple[str, ...], said: str) -> None:
    done = carob("run", "--isolation=none", *words)
    assert done.returncode == 125
    assert said in done.stderr

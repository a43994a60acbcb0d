"""Command lines of crun and runc, and what their failures mean."""

from __future__ import annotations

from typing import Any

import pytest

from carob.errors import InvalidInput, Unsupported
from carob.runtime import command
from carob.runtime.driver import find


def test_crun_is_told_to_use_cgroupfs_and_runc_is_not() -> None:
    arguments: dict[str, Any] = {"app": "web", "bundle": "/b", "pid_file": "/p", "log": "/l"}
    assert "--cgroup-manager=cgroupfs" in command.run("crun", **arguments)
    assert not any("cgroup-manager" in word for word in command.run("runc", **arguments))
    assert command.run("crun", **arguments)[-5:] == ["run", "--detach", "--pid-file=/p", "--bundle=/b", "web"]


def test_an_execution_names_the_app_last() -> None:
    words = command.execute("runc", app="web", process="/x.json", pid_file="/p", log="/l", console="/c")
    assert words[-1] == "web"
    assert "--console-socket=/c" in words
    assert words.index("exec") < words.index("--detach")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (
            '{"msg":"executable file `nope` not found in $PATH: No such file","level":"error"}',
            127,
        ),
        ('{"level":"error","msg":"open executable: Permission denied"}', 126),
        ('{"level":"error","msg":"exec /x: exec format error"}', 126),
        ('{"level":"error","msg":"mount `x`: No such file or directory"}', 125),
        ("something that is no JSON", 125),
        ("[1]", 125),
        ("", 125),
    ],
)
def test_failures_have_the_codes_of_a_shell(said: str, code: int) -> None:
    got, message = command.failure(said)
    assert got == code
    assert message


def test_the_last_error_counts_and_warnings_do_not() -> None:
    said = '{"level":"error","msg":"first"}\n{"level":"error","msg":"last"}\n{"level":"warning","msg":"no"}'
    assert command.failure(said) == (125, "last")


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown runtime"):
        find("docker")
    with pytest.raises(InvalidInput, match="unknown runtime"):
        find("/usr/bin/docker")


def test_a_runtime_that_is_not_there_is_named() -> None:
    with pytest.raises(Unsupported, match="/nowhere/crun"):
        find("/nowhere/crun")


def test_an_app_is_created_and_started_or_both_at_once() -> None:
    where = {"app": "web", "bundle": "/b", "pid_file": "/p", "log": "/l"}
    whole = command.run("crun", **where)
    created = command.run("crun", **where, create_only=True)
    assert whole[whole.index("run") + 1] == "--detach"
    assert ("run" in created, "--detach" in created, "create" in created) == (False, False, True)
    assert (created[-1], whole[-1]) == ("web", "web")
    assert command.start("runc", app="web", log="/l")[-2:] == ["start", "web"]

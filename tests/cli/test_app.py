"""``carob app``: pods whose apps come and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command, eventually

FOREVER = "trap 'exit 3' TERM; echo up; while :; do sleep 1000 & wait $!; done"


def test_the_verbs_of_mutable_pods(carob: Command, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    saved = tmp_path / "uuid"
    words = ("--name=box", "--user-label=a/B=c", "--user-annotation=D=e", f"--uuid-file-save={saved}")
    uuid = carob.ok("app", "sandbox", *words).strip()
    assert saved.read_text().strip() == uuid
    pod = carob.json("status", uuid)
    assert (pod["mutable"], pod["labels"], pod["annotations"], pod["apps"]) == (
        True,
        {"a/B": "c"},
        {"D": "e"},
        [],
    )
    log = tmp_path / "logs/0.log"
    options = ("--app=web", "--env=A=b", f"--volume={tmp_path}:/there:ro", "--memory=64m", "--label=E=f")
    script = ("--", "sh", "-c", FOREVER)
    assert carob.ok("app", "add", f"--log-path={log}", uuid, "busybox", *options, *script) == "web\n"
    assert carob.ok("app", "add", "--name=other", uuid, "busybox", "--pid=app:web", "--", "true") == "other\n"
    assert carob.ok("app", "add", uuid, "busybox", "--", "true") == "busybox\n"
    listed = carob.ok("app", "list", "--no-legend", uuid).splitlines()
    assert [line.split() for line in listed] == [
        [name, "busybox:latest", "created", "0"] for name in ("web", "other", "busybox")
    ]
    assert carob.ok("app", "start", uuid, "--app=web") == ""
    assert carob.ok("app", "start", uuid, "other") == ""
    eventually(lambda: carob.json("app", "status", uuid, "other")["state"] == "ended")
    eventually(lambda: "up" in carob.ok("logs", uuid, "--app=web"))
    shown = dict(line.split("=", 1) for line in carob.ok("app", "status", uuid, "--app=web").splitlines())
    assert (shown["name"], shown["state"], shown["log_path"]) == ("web", "running", str(log))
    assert (shown["mounts"], shown["user_labels"]) == (f"{tmp_path}:/there", "E:f")
    assert {"created_at", "started_at", "image_id"} <= shown.keys()
    assert carob.ok("app", "stop", uuid, "--app=web") == ""
    assert "exit_code=3\n" in carob.ok("app", "status", uuid, "web")
    assert carob.ok("app", "start", uuid, "web") == ""
    running = carob("app", "rm", uuid, "web")
    assert (running.returncode, "is running" in running.stderr) == (125, True)
    assert carob.ok("app", "rm", "--force", uuid, "web") == ""
    for name in ("other", "busybox"):
        carob.ok("app", "rm", uuid, f"--app={name}")
    assert carob.json("app", "list", uuid) == []
    assert "app-" not in carob.ok("status", uuid)
    carob.ok("stop", uuid)
    assert carob.json("status", uuid)["outcome"] == "stopped"
    carob.ok("rm", uuid)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add",), "needs UUID IMAGE"),
        (("add", "{uuid}"), "needs UUID IMAGE"),
        (("add", "{uuid}", "busybox", "---", "busybox"), "needs UUID IMAGE"),
        (("add", "{uuid}", "busybox", "--pid=nobody"), "pid is not 'nobody'"),
        (("add", "{uuid}", "busybox", "--pid=host"), "only where its pod is"),
        (("add", "{uuid}", "busybox", "--role=init"), "no init app"),
        (("add", "{uuid}", "busybox", "--log-path=relative"), "absolute path"),
        (("add", "{uuid}", "nonesuch", "--pull=never"), "nonesuch"),
        (("add", "{uuid}", "busybox", "--label=x"), "is no pair"),
        (("start", "{uuid}"), "which app?"),
        (("start", "{uuid}", "a", "--app=b"), "two apps"),
        (("start", "{uuid}", "nobody"), "has no app 'nobody'"),
        (("stop", "{uuid}", "nobody"), "has no app 'nobody'"),
        (("rm", "{uuid}", "nobody"), "has no app 'nobody'"),
        (("status", "{uuid}", "nobody"), "has no app 'nobody' (its apps: none)"),
        (("add", "{uuid}", "busybox", "ls", "-l"), "app add {uuid} busybox -- ls -l"),
        (("sandbox", "--env=A=b"), "unknown option --env"),
        (("sandbox", "busybox"), "unexpected 'busybox'"),
    ],
)
def test_what_is_refused(carob: Command, words: tuple[str, ...], said: str) -> None:
    uuid = "none"
    if "{uuid}" in words:
        uuid = carob.ok("app", "sandbox").strip()
    done = carob("app", *[word.format(uuid=uuid) for word in words])
    assert (done.returncode, said.format(uuid=uuid) in done.stderr) == (125, True), done.stderr


def test_a_pod_that_is_fixed_is_not_changed(carob: Command) -> None:
    uuid = carob.detached("busybox", "--name=a", "--", "sleep", "1000")
    done = carob("app", "add", uuid, "busybox")
    assert (done.returncode, "is immutable" in done.stderr) == (125, True)
    assert "a     busybox:latest  running" in carob.ok("app", "list", uuid)

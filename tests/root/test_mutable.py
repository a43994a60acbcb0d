"""Pods whose apps come and go."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from carob import (
    App,
    EmptyVolume,
    Engine,
    Exited,
    File,
    ImageVolume,
    LogLimits,
    MemoryVolume,
    Mount,
    NamedVolume,
    PodHandle,
    Resources,
    Signaled,
    Unknown,
    aio,
)
from carob.engine.request.security import Security
from carob.errors import AppStartFailed, Conflict, InvalidInput, NotFound
from carob.pod import ImmutablePod, open_pod
from tests.needs import require_command
from tests.root import host_view
from tests.root.mutable_pods import TRAPS, app, cgroups_of, directory, is_settled, known, named
from tests.root.test_volumes_propagation import KINDS, source

__all__ = ["source"]

SOON_S = 60


def said(pod: PodHandle, text: str, name: str) -> None:
    host_view.eventually(f"{name} says {text}", lambda: text in pod.logs(name).text())


def ended(pod: PodHandle, name: str) -> object:
    host_view.eventually(f"{name} has ended", lambda: pod.status().app(name).state == "ended")
    return pod.status().app(name).end


def commands(init: int) -> str:
    """Return the command lines of all processes of a pod."""
    return " ".join(host_view.read(f"/proc/{pid}/cmdline") for pid in host_view.descendants(init))


def output(pod: PodHandle, name: str, script: str, **more: object) -> str:
    """Run a script as an app of its own, and return what it says."""
    pod.add(app(name, script, **more))
    pod.start_app(name)
    ended(pod, name)
    text = pod.logs(name).text()
    pod.remove_app(name)
    return text


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_an_app_is_created_started_stopped_started_again_and_removed(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    with engine.sandbox(runtime=runtime, name="box") as pod:
        assert (pod.status().apps, pod.status().ready, pod.status().mutable) == ((), True, True)
        started_ns = time.time_ns()
        polite = "trap 'echo bye; exit 3' TERM; echo hi; while :; do sleep 1000 & wait $!; done"
        assert pod.add(app("web", polite)) == "web"
        created = pod.status().app("web")
        assert (created.state, created.started_ns, created.restarts) == ("created", None, 0)
        assert created.created_ns is not None
        assert started_ns - 1e9 < created.created_ns < time.time_ns() + 1e9
        assert (created.image, created.image_id[:7]) == ("busybox:latest", "sha256:")
        assert cgroups_of(pod, "web")
        with pytest.raises(Conflict):
            pod.exec(["true"], app="web")
        pod.stop_app("web")
        assert pod.status().app("web").state == "created", "what was not started is not stopped"
        pod.start_app("web")
        pod.start_app("web")
        said(pod, "hi", "web")
        running = pod.status().app("web")
        assert (running.state, running.end) == ("running", None)
        with pytest.raises(Conflict, match="is running"):
            pod.remove_app("web")
        pod.stop_app("web")
        over = pod.status().app("web")
        assert (over.state, over.end, over.restarts) == ("ended", Exited(3), 0)
        pod.stop_app("web")
        pod.start_app("web")
        again = pod.status().app("web")
        assert (again.state, again.end, again.restarts, again.last_end) == ("running", None, 1, Exited(3))
        pod.add(app("short", "exit 4"))
        pod.start_app("short")
        assert ended(pod, "short") == Exited(4)
        assert pod.status().app("web").state == "running"
        pod.remove_app("short")
        pod.remove_app("web", force=True)
        with pytest.raises(NotFound):
            pod.remove_app("web")
        assert (pod.status().apps, cgroups_of(pod, "web")) == ((), [])
        assert str(pod.status().state) == "running"
        is_settled(engine, pod)
        pod.stop()
        assert pod.wait(timeout_s=SOON_S).outcome == "stopped"


def test_what_cannot_be_added_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    fixed = engine.run(app("fixed"))
    for change in (lambda: fixed.add(app("web")), lambda: fixed.start_app("fixed")):
        with pytest.raises(ImmutablePod):
            change()
    fixed.remove(force=True)
    pod = engine.sandbox()
    pod.add(app("web"))
    with pytest.raises(Conflict, match="has an app 'web' already"):
        pod.add(app("web"))
    with pytest.raises(AppStartFailed, match="app none could not be created") as caught:
        pod.add(App("busybox", ["nonesuch"], name="none"))
    assert (caught.value.app, caught.value.code, caught.value.uuid) == ("none", 127, pod.uuid)
    with pytest.raises(NotFound):
        pod.add(App("nonesuch", ["true"]), pull="never")
    with pytest.raises(NotFound):
        pod.add(app("volume", mounts=[Mount(tmp_path / "none", "/v")]))
    with pytest.raises(NotFound, match="the directory of its log"):
        pod.add(app("log"), log_path=str(tmp_path / "none/0.log"))
    with pytest.raises(InvalidInput):
        pod.add(app("first", role="init"))
    with pytest.raises(InvalidInput, match="only where its pod is"):
        pod.add(app("host"), pid="host")
    with pytest.raises(InvalidInput, match="no such app"):
        pod.add(app("shares"), pid="app:nobody")
    for change in (pod.start_app, pod.stop_app, pod.remove_app, pod.reopen_log):
        with pytest.raises(NotFound):
            change("nobody")
    assert pod.add(App("busybox", ["true"])) == "busybox"
    assert pod.add(App("busybox", ["true"])) == "busybox-2"
    assert named(pod) == ["busybox", "busybox-2", "web"]
    is_settled(engine, pod)
    pod.stop()
    for change in (lambda: pod.add(app("late")), lambda: pod.start_app("web")):
        with pytest.raises(Conflict):
            change()
    pod.stop_app("web")
    assert pod.status().app("web").end == Unknown("it was never started: the pod ended first")
    pod.remove_app("web")
    assert named(pod) == ["busybox", "busybox-2"]
    assert not (directory(engine, pod) / "carob/apps/web").exists()
    pod.remove()


def test_an_added_app_has_all_that_an_app_can_have(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "host/sub").mkdir(parents=True)
    (tmp_path / "host/sub/file").write_text("of the host\n")
    pod = engine.sandbox(hosts={"friend": "10.1.2.3"}, hostname="boxed", ipc="private")
    mounts = [
        Mount(str(tmp_path / "host"), "/host", read_only=True),
        Mount(str(tmp_path / "host"), "/part", subpath="sub"),
        Mount(MemoryVolume(name="memory"), "/memory"),
        Mount(MemoryVolume(name="memory"), "/memory-part", subpath="a"),
        Mount(EmptyVolume(name="empty"), "/empty"),
        Mount(EmptyVolume(), "/own"),
        Mount(NamedVolume("kept"), "/kept"),
        Mount(ImageVolume("busybox"), "/image", subpath="bin"),
        *[Mount(str(tmp_path / "host"), f"/more/{number}") for number in range(20)],
    ]
    files = [File("/secret", content=b"of nobody else", mode=0o400)]
    limits = Resources(memory_bytes=64 << 20, pids=50)
    security = Security(cap_drop=["ALL"], read_only_rootfs=True)
    script = (
        "cat /secret; echo; cat /host/sub/file /part/file /more/19/sub/file; ls /image/busybox; hostname;"
        "grep friend /etc/hosts; touch /host/x; touch /y; echo kept >/kept/it; echo shared >/memory/it;"
        "echo shared >/empty/it; touch /own/it; grep CapEff /proc/self/status; mount | grep -c ' /secret '"
    )
    pod.add(
        app("all", f"exec 2>&1; {script}", mounts=mounts, files=files, resources=limits, security=security)
    )
    assert host_view.read(host_view.cgroup_file(pod.uuid, "all", "pids.max", "pids")) == "50\n"
    pod.start_app("all")
    assert ended(pod, "all") == Exited(0)
    assert pod.logs("all").text() == (
        "of nobody else\nof the host\nof the host\nof the host\n/image/busybox\nboxed\n10.1.2.3 friend\n"
        "touch: /host/x: Read-only file system\ntouch: /y: Read-only file system\n"
        "CapEff:\t0000000000000000\n1\n"
    )
    document = json.loads(pod.manifest())
    assert {"memory", "empty", "all-mount-0"} <= {volume["name"] for volume in document["volumes"]}
    seen = output(
        pod,
        "other",
        "cat /memory/it /empty/it /kept/it; ls /own; ls -d /memory/a",
        mounts=[
            Mount(MemoryVolume(name="memory"), "/memory"),
            Mount(EmptyVolume(name="empty"), "/empty"),
            Mount(NamedVolume("kept"), "/kept"),
            Mount(EmptyVolume(), "/own"),
        ],
    )
    assert seen == "shared\nshared\nkept\n/memory/a\n"
    with pytest.raises(Conflict):
        engine.volumes.remove("kept")
    engine.images.gc()
    pod.start_app("all")  # its files are there for every run
    assert ended(pod, "all") == Exited(0)
    pod.remove_app("all")
    assert json.loads(pod.manifest())["volumes"] == []
    is_settled(engine, pod)
    engine.volumes.remove("kept")
    pod.remove(force=True)


def test_all_three_propagations(engine: Engine, source: Path) -> None:
    mounts = [Mount(source, f"/{kind}", propagation=kind) for kind in KINDS]  # type: ignore[arg-type]
    security = Security(cap_add=["SYS_ADMIN"], seccomp="unconfined")
    pod = engine.sandbox()
    pod.add(app("web", mounts=mounts, security=security))
    pod.start_app("web")

    def seen(script: str) -> str:
        return bytes(pod.exec(["sh", "-c", f"exec 2>&1; {script}"], app="web").stdout).decode()

    for kind in KINDS:
        assert seen(f"ls /{kind}/early") == "mark\n"
    subprocess.run(["mount", "-t", "tmpfs", "none", source / "late"], check=True)
    (source / "late/mark").touch()
    assert [seen(f"ls /{kind}/late") for kind in KINDS] == ["", "mark\n", "mark\n"]
    for kind in ("private", "slave"):
        assert seen(f"mount -t tmpfs none /{kind}/inside && touch /{kind}/inside/{kind}") == ""
        assert os.listdir(source / "inside") == []
    assert seen("mount -t tmpfs none /shared/inside && touch /shared/inside/app") == ""
    assert os.listdir(source / "inside") == ["app"]
    pod.remove_app("web", force=True)
    assert os.listdir(source / "late") == ["mark"], "taking the app's mounts off leaves the host's alone"
    assert os.listdir(source / "inside") == ["app"]
    pod.remove(force=True)


def test_whose_processes_an_app_sees(engine: Engine) -> None:
    tracer = Security(cap_add=["ALL"], seccomp="unconfined")
    pod = engine.sandbox()
    pod.add(app("own"))
    pod.add(app("guest"), pid="app:own")
    pod.add(app("open", security=tracer), pid="pod")
    pod.add(app("closed"), pid="container")
    pod.add(app("open-too"), pid="pod")
    names = ("own", "guest", "open", "open-too", "closed")
    for name in names:
        pod.start_app(name)

    def says(name: str, script: str) -> str:
        return str(pod.exec(["sh", "-c", f"exec 2>&1; {script}"], app=name, text=True).stdout).strip()

    def count(name: str) -> int:
        return int(says(name, "ls -d /proc/[0-9]* | wc -l"))

    first = "tr '\\0' ' ' </proc/1/cmdline | cut -d ' ' -f 1"
    firsts = [says(name, first) for name in names]
    assert firsts == ["sh", "sh", "carob-pod", "carob-pod", "sh"]
    for one, same, less in (("own", "guest", "closed"), ("open", "open-too", "own")):
        host_view.eventually("they see the same", lambda: count(one) == count(same) > count(less))  # noqa: B023
    # What holds the namespace has nothing: nothing to see, and nothing to be entered by.
    assert says("open", "ls -A /proc/1/root/ /proc/1/cwd/ | grep -v '^/proc\\|^$'") == ""
    assert says("open", "readlink /proc/1/fd/*").startswith("pipe:")
    assert says("open", "ls /proc/1/fd") == "0"
    assert says("open", "grep -E 'CapPrm|CapEff' /proc/1/status | cut -f2 | sort -u") == "0" * 16
    assert "can't execute 'ls'" in says("open", "nsenter -t 1 -m ls"), "there is nothing to enter"
    pod.stop_app("guest", grace_s=0)
    pod.restart(app="own", grace_s=0)
    pod.start_app("guest")
    host_view.eventually("it is among those of the present run", lambda: count("guest") == count("own") > 4)
    pod.stop_app("open-too", grace_s=0)
    init = host_view.keeper(directory(engine, pod), "init")
    processes = {pid: host_view.read(f"/proc/{pid}/cmdline") for pid in host_view.descendants(init)}
    (holder,) = [pid for pid, words in processes.items() if words.startswith("carob-pod")]
    os.kill(holder, 9)
    assert ended(pod, "open") == Signaled(9)
    pod.start_app("open-too")
    assert says("open-too", first) == "carob-pod"
    script = "setsid sh -c 'while :; do sleep 0.1; done' & exit 4"
    pod.add(app("parent", script), pid="pod")
    pod.start_app("parent")
    assert ended(pod, "parent") == Exited(4)
    host_view.eventually("what it left has ended, too", lambda: "sleep 0.1" not in commands(init))
    pod.stop_app("own", grace_s=0)
    pod.stop_app("guest", grace_s=0)
    with pytest.raises(AppStartFailed, match="does not run"):
        pod.start_app("guest")
    assert pod.status().app("closed").state == "running"
    pod.remove(force=True)


def test_a_log_where_the_caller_wants_it(engine: Engine, tmp_path: Path) -> None:
    logs = tmp_path / "logs/web"
    logs.mkdir(parents=True)
    pod = engine.sandbox()
    script = "echo first; while [ ! -e /go ]; do sleep 0.01; done; echo second; sleep 1000"
    pod.add(app("web", script), log_path=str(logs / "0.log"))
    assert stat.S_ISREG((logs / "0.log").stat().st_mode)
    pod.start_app("web")
    said(pod, "first", "web")
    assert pod.status().app("web").log_path == str(logs / "0.log")
    (logs / "0.log").rename(logs / "0.log.20260101-000000")
    pod.reopen_log("web")
    pod.exec(["touch", "/go"], app="web")
    host_view.eventually("it goes on", lambda: "second" in host_view.read(logs / "0.log"))
    assert "first" not in host_view.read(logs / "0.log")
    assert " stdout F second\n" in host_view.read(logs / "0.log")
    assert pod.logs("web").text() == "first\nsecond\n"
    found = [entry.output for batch in pod.log_batches(follow=False) for _, entry in batch]
    assert found == [b"first\n", b"second\n"]
    assert not list((directory(engine, pod) / "carob/logs").iterdir())
    pod.remove_app("web", force=True)
    assert sorted(path.name for path in logs.iterdir()) == ["0.log", "0.log.20260101-000000"]
    pod.remove(force=True)


def test_what_is_done_with_apps_is_done_with_added_ones(engine: Engine, tmp_path: Path) -> None:
    words = {"io.kubernetes/Name_1": "any Thing: √"}
    pod = engine.sandbox(labels=words, user_annotations={"A": "1"})
    pod.add(app("web"), labels=words, user_annotations={"B": "2"})
    pod.add(App("busybox", ["cat"], name="cat", stdin="stream"))
    pod.add(App("busybox", ["sh"], name="terminal", stdin="tty"))
    pod.update(Resources(pids=40), app="web")
    for name in ("web", "cat", "terminal"):
        pod.start_app(name)
    assert host_view.read(host_view.cgroup_file(pod.uuid, "web", "pids.max", "pids")) == "40\n"
    status = pod.status()
    assert (status.labels, status.annotations) == (words, {"A": "1"})
    assert (status.app("web").labels, status.app("web").annotations) == (words, {"B": "2"})
    (summary,) = engine.summaries()
    assert (summary.mutable, summary.labels, summary.apps[0].labels) == (True, words, words)
    with pod.attach(app="cat") as attached:
        attached.write(b"through\n")
        said(pod, "through", "cat")
    with pod.attach(app="terminal") as attached:
        assert attached.tty
        attached.write(b"echo $((6*7))\n")
        said(pod, "42", "terminal")
    (tmp_path / "file").write_text("copied")
    pod.copy_in(tmp_path / "file", "/there", app="web")
    assert pod.exec(["cat", "/there"], app="web", text=True).stdout == "copied"
    pod.stop_app("cat", grace_s=0)
    pod.copy_out("/bin/sh", tmp_path / "out", app="cat", follow_links=True)
    assert (tmp_path / "out").stat().st_size > 1000
    assert {one.app for one in pod.top("web", "terminal")} == {"web", "terminal"}
    assert set(pod.stats().apps) >= {"web", "terminal"}
    pod.export(tmp_path / "tar", app="web")
    assert {"app-created", "app-started", "app-ended"} <= {event.kind for event in pod.timeline()}
    pod.pause(app="web")
    assert pod.status().app("web").state == "paused"
    pod.remove_app("web", force=True)
    pod.restart(app="terminal", grace_s=0)
    pod.stop(grace_s=0)
    with open_pod(engine.data_dir, pod.uuid) as opened:  # as rkt's rules have it
        manifest = opened.sandbox_manifest()
        assert [str(one.name) for one in manifest.apps] == ["cat", "terminal"]
        assert dict(manifest.user_labels) == words
        assert opened.app_exit_code("cat") == 137
        marks = Path(opened.stage1_rootfs_path()) / "rkt/status"
        assert {"cat", "cat-created", "cat-started", "terminal"} <= set(os.listdir(marks))
    pod.remove()


def test_policies_are_those_of_an_app_that_was_started(engine: Engine) -> None:
    pod = engine.sandbox(log_limits=LogLimits(64 << 10, 2))
    pod.add(app("much", "yes 'a line of a log' | head -c 300000"))
    pod.start_app("much")
    assert ended(pod, "much") == Exited(0)
    logs = [
        path for path in (directory(engine, pod) / "carob/logs").iterdir() if path.name.startswith("much")
    ]
    assert len(logs) == 2
    assert sum(path.stat().st_size for path in logs) < 200_000
    pod.remove_app("much")
    pod.add(app("again", "echo run; exit 1", restart="on-failure:2"))
    time.sleep(0.2)
    assert pod.logs("again").text() == ""
    pod.start_app("again")
    assert ended(pod, "again") == Exited(1)
    assert (pod.status().app("again").restarts, pod.logs("again").text()) == (2, "run\n" * 3)
    pod.add(app("always", "exit 0", restart="always"))
    pod.start_app("always")
    host_view.eventually("it is started again", lambda: pod.status().app("always").restarts > 1)
    pod.stop_app("always")
    restarts = pod.status().app("always").restarts
    time.sleep(0.5)
    assert (pod.status().app("always").state, pod.status().app("always").restarts) == ("ended", restarts)
    pod.add(app("stubborn", "trap '' TERM; while :; do sleep 1000 & wait $!; done", stop_timeout_s=0.2))
    pod.start_app("stubborn")
    pod.stop_app("stubborn")
    assert pod.status().app("stubborn").end == Signaled(9)
    pod.add(app("side", f"echo up; {TRAPS}", role="sidecar"))
    pod.start_app("side")
    said(pod, "up", "side")
    pod.stop()
    assert pod.wait(timeout_s=SOON_S).outcome == "stopped"
    assert pod.status().app("side").end == Exited(0)
    pod.remove()


def test_an_app_killed_before_it_was_started_has_ended(engine: Engine) -> None:
    pod = engine.sandbox()
    pod.add(app("web"))
    init = host_view.keeper(directory(engine, pod), "init")
    (first,) = [pid for pid in host_view.descendants(init) if pid != init]
    os.kill(first, 9)
    assert ended(pod, "web") == Signaled(9)
    assert known(engine, pod) == {"web": "ended"}
    pod.start_app("web")
    assert pod.status().app("web").state == "running"
    pod.remove(force=True)


def test_coroutines_do_the_same(engine: Engine) -> None:
    async def drive() -> None:
        async with aio.Engine(engine.data_dir) as loop, await loop.sandbox() as pod:
            names = await asyncio.gather(*[pod.add(App("busybox", ["sleep", "1000"])) for _ in range(4)])
            assert sorted(names) == ["busybox", "busybox-2", "busybox-3", "busybox-4"]
            await asyncio.gather(*[pod.start_app(name) for name in names])
            assert {app.state for app in (await pod.status()).apps} == {"running"}
            adding = asyncio.create_task(pod.add(app("late")))
            await asyncio.sleep(0)
            adding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adding
            assert "late" not in [app.name for app in (await pod.status()).apps]
            await asyncio.gather(*[pod.stop_app(name, grace_s=0) for name in names])
            await pod.reopen_log(names[0])
            await asyncio.gather(*[pod.remove_app(name) for name in names])
            is_settled(engine, engine.handle(pod.uuid))

    asyncio.run(drive())


def test_events_tell_of_apps_that_come_and_go(engine: Engine) -> None:
    pod = engine.sandbox()
    found: list[tuple[str, str]] = []

    def watch() -> None:
        for event in engine.events():
            found.append((event.kind, event.app))
            if event.kind == "ended":
                return

    watching = threading.Thread(target=watch)
    watching.start()
    time.sleep(0.2)
    for _ in range(2):
        pod.add(app("web", "exit 3"))
        pod.start_app("web")
        ended(pod, "web")
        host_view.eventually("its end is told", lambda: found[-1:] == [("app-ended", "web")])
        pod.remove_app("web")
        host_view.eventually("that it is gone is told", lambda: found[-1] == ("app-removed", "web"))
    pod.stop()
    watching.join(SOON_S)
    life = [(kind, "web") for kind in ("app-created", "app-started", "app-ended", "app-removed")]
    assert found == [*life, *life, ("ended", "")]
    pod.remove()

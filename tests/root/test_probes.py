"""Probes of real apps: what they see, what follows, and that no server or program holds up a pod by them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carob import App, Engine, Exited, PodHandle, Probe, Signaled
from carob import aio as carob_aio
from carob.errors import Conflict, InvalidInput, TimedOut, Unsupported
from carob.pod import State
from tests.needs import require_command
from tests.root import host_view
from tests.root.test_exec import settled
from tests.root.test_rootless import START
from tests.root.test_rootless import root_tar as root_tar  # noqa: PLC0414 - a fixture
from tests.root.test_unpack_userns import Account
from tests.root.test_unpack_userns import user as user  # noqa: PLC0414 - a fixture

SOON_S = 60.0
FOREVER = ["sleep", "1000"]
WWW = "mkdir -p /www; echo ok > /www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /www"
SLEEPS = "while :; do sleep 0.05; done"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, int]]:
    """The ports of tests/root/probe_servers.py, on the host."""
    program = [sys.executable, Path(__file__).with_name("probe_servers.py")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.kill()


def note(pod: PodHandle, engine: Engine, app: str = "x") -> dict[str, Any]:
    path = host_view.pod_directory(engine.data_dir, pod.uuid) / f"carob/apps/{app}/probes.json"
    found: dict[str, Any] = json.loads(host_view.read(path) or "{}")
    return found


def reason(pod: PodHandle, role: str = "readiness", app: str = "x") -> str:
    return pod.status().app(app).probes[role].reason


def kinds(pod: PodHandle) -> list[str]:
    return [event.kind for event in pod.timeline() if event.app]


def init_of(engine: Engine, pod: PodHandle) -> int:
    return host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "init")


def below(engine: Engine, pod: PodHandle, words: str) -> list[int]:
    """The processes of the pod whose command line has these words."""
    return [
        pid
        for pid in host_view.descendants(init_of(engine, pod))
        if words in host_view.read(f"/proc/{pid}/cmdline").replace("\0", " ")
    ]


# --- what others answer ---------------------------------------------------------------------------

HTTP: dict[str, tuple[str, dict[str, Any], str]] = {
    "well": ("well", {}, ""),
    "strange-but-well": ("strange but well", {}, ""),
    "interim": ("interim", {}, ""),
    "unwell": ("unwell", {}, "HTTP 503"),
    "endless-body": ("endless body", {}, ""),
    "endless-header": ("endless header", {}, "the head of its answer has no end"),
    "endless-headers": ("endless headers", {}, "the head of its answer has no end"),
    "endless-interim": ("endless interim", {}, "it says too much"),
    "drips": ("drips", {}, "no answer within 0.4 s"),
    "closes": ("closes", {}, "it closed the connection"),
    "silent": ("silent", {}, "no answer within 0.4 s"),
    "ssh": ("ssh", {}, "its answer is not HTTP"),
    "zeros": ("zeros", {}, "the head of its answer has no end"),
    "loop": ("redirects", {"path": "/loop"}, "more than 10 redirects"),
    "away": ("redirects", {"path": "/away"}, ""),
    "secure": ("redirects", {"path": "/secure"}, ""),
    "way": ("redirects", {"path": "/a/way"}, ""),
    "strange-way": ("redirects", {"path": "/strange"}, ""),
    "tls": ("tls", {"scheme": "https"}, ""),
    "tls-unwell": ("tls unwell", {"scheme": "https"}, "HTTP 503"),
    "not-tls": ("endless body", {"scheme": "https"}, "TLS failed"),
    "tls-closes": ("closes", {"scheme": "https"}, "it closed the connection in the TLS handshake"),
    "tls-zeros": ("zeros", {"scheme": "https"}, "TLS failed"),
    "request": (
        "request",
        {
            "path": "healthz?full=1",
            "headers": [("Host", "app.example"), ("X-Word", "one two"), ("Accept", "text/plain")],
        },
        "",
    ),
}  # fmt: skip
GRPC: dict[str, tuple[str, str, str]] = {
    "serving": ("grpc", "", ""),
    "sick": ("grpc", "sick", "gRPC health: not serving"),
    "unknown": ("grpc", "nobody", "it knows no service 'nobody'"),
    "bare": ("bare grpc", "", "it does not implement grpc.health.v1.Health"),
    "zeros": ("zeros", "", "its answer is not HTTP/2"),
    "flood": ("http/2 flood", "", "it says too much"),
    "silent": ("silent", "", "no answer within 0.4 s"),
    "closes": ("closes", "", "it closed the connection"),
}


def usual(why: str) -> dict[str, Any]:
    """Time enough on a busy machine, but where it is silence that is waited for."""
    return {"period_s": 0.2, "failures": 1, "timeout_s": 0.4 if why.startswith("no answer") else SOON_S}


def judged(engine: Engine, apps: dict[str, Probe], wanted: dict[str, str]) -> None:
    """Hold what the probes of these apps say against what is wanted; "" is well."""
    made = [App("busybox", FOREVER, name=name, readiness=probe) for name, probe in apps.items()]
    with engine.run(*made, network="host") as pod:

        def all_known() -> bool:
            found = pod.status().apps
            return all(app.probes["readiness"].passing is not None for app in found)

        host_view.eventually("each probe says something", all_known)
        found = {app.name: app for app in pod.status().apps}
        for name, why in wanted.items():
            said = found[name].probes["readiness"].reason
            assert found[name].ready is (why == ""), (name, said)
            assert said.startswith(why), (name, said)
            assert bool(said) is bool(why), (name, said)
        before = settled_descriptors(engine, pod)
        time.sleep(1.0)  # several tries of each, none of which leaves a descriptor
        assert settled_descriptors(engine, pod) <= before + len(apps)
        started = time.monotonic()
        pod.exec(["true"], app=next(iter(apps)))
        assert time.monotonic() - started < SOON_S


def settled_descriptors(engine: Engine, pod: PodHandle) -> int:
    init = init_of(engine, pod)
    helper = below(engine, pod, "")
    return sum(
        len(os.listdir(f"/proc/{pid}/fd"))
        for pid in helper
        if host_view.read(f"/proc/{pid}/comm").strip() == "carob-probe" or pid == init
    )


def test_http_as_servers_have_it_the_hostile_ones_too(engine: Engine, servers: dict[str, int]) -> None:
    probes = {
        name: Probe(http=servers[port], **more, **usual(why)) for name, (port, more, why) in HTTP.items()
    }
    judged(engine, probes, {name: why for name, (_, _, why) in HTTP.items()})


def test_grpc_of_a_real_server_and_of_none(engine: Engine, servers: dict[str, int]) -> None:
    probes = {
        name: Probe(grpc=servers[port], service=service, **usual(why))
        for name, (port, service, why) in GRPC.items()
    }
    judged(engine, probes, {name: why for name, (_, _, why) in GRPC.items()})


def test_the_helper_has_nobody_s_rights_and_is_replaced(engine: Engine, servers: dict[str, int]) -> None:
    probe = Probe(http=servers["well"], period_s=0.1)
    with engine.run(App("busybox", FOREVER, name="x", readiness=probe), network="host") as pod:
        pod.wait_ready(timeout_s=SOON_S)

        def helpers() -> list[int]:
            found = host_view.descendants(init_of(engine, pod))
            return [pid for pid in found if host_view.read(f"/proc/{pid}/comm").strip() == "carob-probe"]

        (first,) = helpers()
        status = host_view.read(f"/proc/{first}/status")
        assert "Uid:\t65534\t65534\t65534\t65534" in status
        assert "CapEff:\t0000000000000000" in status
        os.kill(first, 9)
        host_view.eventually("there is another", lambda: helpers() and helpers() != [first])
        assert pod.status().app("x").ready
        assert "the process that tries probes is gone" in host_view.read(
            host_view.pod_directory(engine.data_dir, pod.uuid) / "carob/supervisor.log"
        )


# --- programs in the app --------------------------------------------------------------------------


def test_programs_that_hang_flood_or_are_not_there(engine: Engine) -> None:
    scripts = {
        "hangs": "sleep 999 & (setsid sleep 999 &) ; sleep 998",
        "floods": "yes",
        "fails": "echo out; echo err >&2; exit 3",
        "talks": "yes 'a line that is long enough' | head -n 10000",
        "leaves": "sleep 997 & exit 0",
    }  # fmt: skip
    probes = {
        name: Probe(exec=["sh", "-c", script], period_s=0.5, timeout_s=1.0, failures=1)
        for name, script in scripts.items()
    }
    probes["missing"] = Probe(exec=["/no/such"], period_s=0.5, failures=1)
    probes["talks"] = Probe(exec=["sh", "-c", scripts["talks"]], timeout_s=10.0)
    apps = [App("busybox", FOREVER, name=name, readiness=probe) for name, probe in probes.items()]
    with engine.run(*apps) as pod:

        def all_known() -> bool:
            return all(app.probes["readiness"].passing is not None for app in pod.status().apps)

        host_view.eventually("each probe says something", all_known)
        said = {app.name: app.probes["readiness"].reason for app in pod.status().apps}
        assert said["hangs"] == said["floods"] == "no answer within 1 s"
        assert said["fails"] == "exit code 3: out err"
        assert "no such file" in said["missing"].lower() or "not found" in said["missing"].lower()
        assert {app.name for app in pod.status().apps if app.ready} == {"talks", "leaves"}
        time.sleep(2.5)  # more tries
        assert len(below(engine, pod, "sleep 998")) <= 1
        assert len(below(engine, pod, "yes")) <= 2
        assert len(below(engine, pod, "sleep 999")) <= 2 + 3, "but for what has left its parents"


def test_many_tries_leave_no_file_and_no_descriptor(engine: Engine) -> None:
    probe = Probe(exec=["true"], period_s=0.1)
    apps = [
        App("busybox", FOREVER, name=f"x{number}", readiness=probe, startup=Probe(exec=["true"]))
        for number in range(4)
    ]
    with engine.run(*apps) as pod:
        pod.wait_ready(timeout_s=SOON_S)
        directory = Path(f"/proc/{init_of(engine, pod)}")
        before = {os.path.basename(one) for one in os.listdir(directory / "root/run")}
        assert len(os.listdir(directory / "fd")) < 60
        time.sleep(3.0)
        after = {os.path.basename(one) for one in os.listdir(directory / "root/run")}
        assert len({name for name in after - before if name.startswith("exec_")}) <= 4 * 3
        pod.pause()
        assert settled(int(directory.name)), "nothing is tried while they stand still"


# --- what follows ---------------------------------------------------------------------------------


def test_a_start_is_waited_for_then_the_others_begin(engine: Engine) -> None:
    script = f"sleep 0.5; touch /started; sleep 0.3; {WWW}"
    app = App(
        "busybox",
        ["sh", "-c", script],
        name="web",
        startup=Probe(exec=["test", "-e", "/started"]),
        liveness=Probe(exec=["test", "-e", "/started"], failures=1, period_s=0.2),
        readiness=Probe(http=8080, period_s=0.2, failures=1000),
    )
    with engine.run(app, App("busybox", FOREVER, name="other")) as pod:
        status = pod.status()
        assert (status.ready, status.app("web").ready, status.app("other").ready) == (False, False, True)
        with pytest.raises(TimedOut, match="the readiness of app web"):
            pod.wait_ready(timeout_s=0.2)
        pod.wait_ready(timeout_s=SOON_S)
        status = pod.status()
        assert status.ready
        web = status.app("web")
        assert (web.ready, web.restarts) == (True, 0), "what is not yet there when it starts ends nothing"
        assert {role: probe.passing for role, probe in web.probes.items()} == {
            "startup": True, "liveness": True, "readiness": True,
        }  # fmt: skip
        assert kinds(pod) == ["app-started", "app-started", "app-ready"]

        pod.exec(["mv", "/www/index.html", "/gone"], app="web")
        host_view.eventually("it is refused", lambda: reason(pod, app="web") == "HTTP 404", 30)
        assert pod.status().app("web").ready, "a few failures of a thousand"
        time.sleep(0.3)
        stamp = os.stat(
            host_view.pod_directory(engine.data_dir, pod.uuid) / "carob/apps/web/probes.json"
        ).st_mtime_ns
        time.sleep(1.0)
        again = os.stat(
            host_view.pod_directory(engine.data_dir, pod.uuid) / "carob/apps/web/probes.json"
        ).st_mtime_ns
        assert again == stamp, "both were tried five times, and nothing has changed"


def test_an_app_that_does_not_live_starts_again_and_what_it_was_is_told(engine: Engine) -> None:
    stubborn = "trap : TERM; touch /alive; while :; do sleep 1; done"
    app = App(
        "busybox",
        ["sh", "-c", stubborn],
        name="x",
        restart="on-failure",
        liveness=Probe(exec=["test", "-e", "/alive"], period_s=0.2, failures=2, delay_s=0.3, grace_s=0.1),
        readiness=Probe(exec=["test", "-e", "/alive"], period_s=0.2),
    )
    with engine.run(app) as pod:
        pod.wait_ready(timeout_s=SOON_S)
        pod.exec(["rm", "/alive"])
        host_view.eventually("it was started again", lambda: pod.status().app("x").restarts == 1)
        pod.wait_ready(timeout_s=SOON_S)
        status = pod.status().app("x")
        assert status.last_end == Signaled(9), "its grace is the probe's"
        told = [(one.event, one.probe, one.reason) for one in status.probe_changes]
        assert told == [
            ("app-ready", "", ""),
            ("probe-failed", "liveness", "exit code 1"),
            ("app-unready", "", ""),
            ("app-ready", "", ""),
        ]
        assert [
            event.kind for event in engine.events(since_ns=0, follow=False) if event.kind == "probe-failed"
        ]
        uuid = pod.uuid
    document = [event.kind for event in engine.get(uuid).timeline()]
    assert document.count("app-ready") == 2, "a removed pod is told of as well"


@pytest.mark.parametrize("polite", [True, False])
def test_without_restarts_its_end_stands(engine: Engine, polite: bool) -> None:
    script = f"trap 'exit {0 if polite else 4}' TERM; while :; do sleep 0.1; done"
    probe = Probe(exec=["false"], period_s=0.1, failures=2)
    apps = [
        App("busybox", ["sh", "-c", script], name="x", startup=probe),
        App("busybox", FOREVER, name="other"),
    ]
    with engine.run(*apps, grace_s=SOON_S) as pod:
        if polite:
            host_view.eventually("it has ended", lambda: pod.status().app("x").end == Exited(0))
            assert pod.status().state is State.RUNNING
            with pytest.raises(Conflict, match="app x has ended"):
                pod.wait_ready(timeout_s=SOON_S)
        else:
            end = pod.wait(timeout_s=SOON_S * 2)
            assert (end.outcome, end.apps["x"]) == ("app failed", Exited(4))


def test_restarts_by_probes_count_and_a_stop_ends_all(engine: Engine) -> None:
    probe = Probe(exec=["false"], period_s=0.1, failures=1)
    app = App("busybox", ["sh", "-c", f"trap 'exit 0' TERM; {SLEEPS}"], name="x",
              restart="on-failure:2", liveness=probe)  # fmt: skip
    with engine.run(app) as pod:
        pod.wait(timeout_s=SOON_S)
        assert pod.status().app("x").restarts == 2
    app = App("busybox", ["sh", "-c", f"trap : USR1; {SLEEPS}"], name="x", restart="always",
              liveness=Probe(exec=["false"], failures=1), stop_timeout_s=1000.0, stop_signal="USR1",
              )  # fmt: skip
    with engine.run(app) as pod:
        host_view.eventually("it is being ended", lambda: "probe-failed" in kinds(pod))
        pod.stop(grace_s=0.1)
        assert pod.status().outcome == "stopped"
        assert pod.status().app("x").restarts == 0


def test_nothing_is_tried_while_an_app_stands_still(engine: Engine) -> None:
    script = "while :; do sleep 0.05; echo $(date +%s%N) >> /beats; done"
    probe = Probe(exec=["sh", "-c", "echo tried >> /tried"], period_s=0.1)
    app = App("busybox", ["sh", "-c", script], name="x", liveness=probe, readiness=probe)
    with engine.run(app) as pod:
        pod.wait_ready(timeout_s=SOON_S)
        pod.pause()
        assert not pod.status().app("x").ready
        upper = next(host_view.pod_directory(engine.data_dir, pod.uuid).glob("overlay/*/upper/x/tried"), None)
        assert upper is not None
        time.sleep(0.3)
        before = upper.read_text().count("\n")
        time.sleep(0.8)
        assert upper.read_text().count("\n") <= before, "those begun before are frozen, too"
        pod.resume()
        host_view.eventually("it is tried again", lambda: upper.read_text().count("\n") > before + 2)
        assert pod.status().app("x").ready
        assert pod.status().app("x").restarts == 0
        pod.restart(app="x", grace_s=0)
        pod.wait_ready(timeout_s=SOON_S)


def test_a_pod_that_ends_is_waited_for_no_longer(engine: Engine) -> None:
    app = App("busybox", ["sleep", "0.5"], name="x", readiness=Probe(tcp=9))
    with engine.run(app) as pod, pytest.raises(Conflict):
        pod.wait_ready(timeout_s=SOON_S)


def test_on_an_event_loop(engine: Engine) -> None:
    app = App("busybox", ["sh", "-c", f"sleep 0.3; {WWW}"], name="x", readiness=Probe(tcp=8080))

    async def go() -> None:
        async with carob_aio.Engine(engine.data_dir) as loop_engine, await loop_engine.run(app) as pod:
            with pytest.raises(TimedOut):
                await pod.wait_ready(timeout_s=0.01)
            await pod.wait_ready(timeout_s=SOON_S)
            assert (await pod.status()).app("x").ready

    asyncio.run(go())


@pytest.mark.parametrize(
    "options",
    [{"runtime": "runc"}, {"isolation": "none"}, {"userns": "auto"}, {"pid": "host"}, {"network": "default"}],
    ids=str,
)
def test_in_every_kind_of_pod(engine: Engine, options: Any) -> None:
    if "runtime" in options:
        require_command("runc")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    app = App(
        "busybox",
        ["sh", "-c", f"mkdir /www; echo ok > /www/index.html; exec httpd -f -p 127.0.0.1:{port} -h /www"],
        name="x",
        startup=Probe(tcp=port),
        readiness=Probe(http=port),
        liveness=Probe(exec=["test", "-e", "/www"], period_s=0.1),
    )
    with engine.run(app, **options) as pod:
        pod.wait_ready(timeout_s=SOON_S)
        host_view.eventually("it lives", lambda: pod.status().app("x").probes["liveness"].passing)


OF_A_USER = (
    START
    + """
from carob import Probe
script = "mkdir /www; echo ok > /www/index.html; exec httpd -f -p 8080 -h /www"
app = sh(script, name="x", startup=Probe(tcp=8080), readiness=Probe(http=8080), liveness=Probe(exec=["true"]))
with engine.run(app) as pod:
    pod.wait_ready(timeout_s=60)
    told["ready"] = pod.status().app("x").ready
print(json.dumps(told))
"""
)


def test_for_who_is_not_root(user: Account, root_tar: str) -> None:
    run = user.run(OF_A_USER, root_tar, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"ready": True}


# --- before it runs -------------------------------------------------------------------------------


def test_names_of_ports_and_healthchecks_are_the_image_s(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="names no port 'web'"):
        engine.prepare(App("busybox", FOREVER, readiness=Probe(http="web")))
    with pytest.raises(InvalidInput, match="has no HEALTHCHECK"):
        engine.prepare(App("busybox", FOREVER, readiness=Probe(image=True)))
    with pytest.raises(InvalidInput, match="init app"):
        App("busybox", role="init", liveness=Probe(tcp=1))
    assert host_view.pod_directories(engine.data_dir) == []


def test_grpc_without_its_library_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [one for one in sys.path if "site-packages" not in one])
    for name in ("h2", "hpack", "hyperframe"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(Unsupported, match="gRPC probes need the library h2"):
        engine.prepare(App("busybox", FOREVER, readiness=Probe(grpc=1)))
    assert host_view.pod_directories(engine.data_dir) == []


def test_what_was_prepared_and_made_before_probes_reads_well(engine: Engine) -> None:
    pod = engine.prepare(App("busybox", FOREVER, name="x", liveness=Probe(exec=["true"])))
    assert pod.status().app("x").probes["liveness"].passing is None
    pod.run()
    host_view.eventually("it is known", lambda: note(pod, engine).get("ready"))
    path = host_view.pod_directory(engine.data_dir, pod.uuid) / "carob/apps/x/probes.json"
    for strange in (
        "",
        "[]",
        '{"probes": 3, "changes": {}, "ready": 1}',
        '{"changes": [1, {}, {"time_ns": "x"}]}',
    ):
        path.write_text(strange)
        assert not pod.status().app("x").ready
        assert pod.timeline()
    pod.remove(force=True)

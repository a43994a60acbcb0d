"""Every verb of the library, as a program uses it. Not run: the type checkers read it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, assert_never, assert_type

from carob import (
    AddOptions,
    App,
    AppEnd,
    AppStatus,
    CallSet,
    CarobError,
    Completed,
    Device,
    EmptyVolume,
    Engine,
    Event,
    Execution,
    Exited,
    File,
    ImageVolume,
    LogLimits,
    MemoryVolume,
    Mount,
    NamedVolume,
    NetworkConfiguration,
    NetworkStatus,
    OutOfMemory,
    PodEnd,
    PodHandle,
    PodOptions,
    PodStats,
    PodStatus,
    PortForward,
    Probe,
    ProcessInfo,
    Resources,
    Security,
    Signaled,
    State,
    Unknown,
    __version__,
)
from carob.engine.request.pod import PodRequest
from carob.engine.sandbox.addition import Addition
from carob.errors import AppStartFailed, CommandFailed, LostRace, TimedOut


def engines() -> list[Engine]:
    """An engine needs nothing; data directory and interpreter can be given."""
    print(__version__)
    engine = Engine(Path("/srv/pods"), python="/usr/bin/python3", image_limits={"layer_bytes": 1 << 40})
    assert_type(engine.data_dir, str)
    return [Engine(), Engine("/srv/pods"), engine]


def options(engine: Engine, app: App) -> PodHandle:
    """Options passed on, and an engine with a supervisor at the ready."""
    chosen: PodOptions = {"name": "mine", "network": "none", "pull": "never"}
    with Engine(engine.data_dir, standby=1) as quick:
        pod = quick.run(app, **chosen)
    quick.close()
    return pod


def images(engine: Engine) -> str:
    """The local store."""
    image = engine.images.import_path(Path("rootfs.tar"), name="busybox")
    assert_type(engine.images.resolve("busybox").image_id, str)
    for one in engine.images.list():
        assert_type(one.image_id, str)
    assert_type(engine.images.remove("busybox"), None)
    engine.images.gc()
    return image.image_id


def transfers(engine: Engine, pod: PodHandle) -> str:
    """Images in and out."""
    image = engine.images.fetch(
        "docker://example.org/app:1", name="app", pull="missing", platform="linux/arm64", insecure="none"
    )
    assert_type(image.image_id, str)
    for one in engine.images.load(Path("images.tar"), insecure=["image"], warn=print):
        assert_type(one.name, str)
    engine.images.save(["app"], "app.tar", format="docker-archive")
    pushed = engine.images.push(
        "app", "docker://example.org/app:2", progress=lambda blob: print(blob.digest, blob.outcome)
    )
    assert_type(pushed, str)
    engine.images.export("app", "rootfs.tar")
    engine.images.extract("app", Path("directory"), rootfs_only=False)
    assert_type((engine.images.tag("app", "other:2")).name, str)
    assert_type(engine.images.inspect("app"), dict[str, Any])
    for step in engine.images.history("app"):
        assert_type(step.created_by, str)
    assert_type(engine.images.cat_manifest("app"), bytes)
    for broken in (engine.images.verify(quarantine=False)).broken:
        assert_type(broken.problem, str)
    assert_type((engine.images.usage()).total_bytes, int)
    pod.export("app.tar", app="app")
    return (pod.commit("made:1")).image_id


def volumes(engine: Engine) -> App:
    """What an app may see beside its image."""
    made = engine.volumes.create("db", labels={"team": "web"})
    assert_type(made.used_by, tuple[str, ...])
    assert_type(engine.volumes.get("db").labels, dict[str, str])
    for one in engine.volumes.list():
        assert_type(one.path, str)
    assert_type(engine.volumes.gc(unused=True, labels={"team": "web"}).removed, list[str])
    engine.volumes.remove("db")
    mounts = [
        Mount(NamedVolume("db", copy=False), "/db", subpath="a", noexec=True),
        Mount(EmptyVolume("work", mode=0o1777, uid=5, gid=6), "/work", nosuid=False, nodev=False),
        Mount(MemoryVolume(size_bytes=1 << 20), "/cache"),
        Mount(ImageVolume("tools", writable=True), "/tools"),
        Mount(Path("/mnt"), "/mnt", propagation="slave"),
    ]
    files = [File("/run/secrets/a", b"secret"), File("/etc/b", source=Path("/b"), mode=0o444, uid=5, gid=6)]
    return App("busybox", mounts=mounts, files=files)


def requests() -> PodRequest:
    """What can be said of apps and pods."""
    app = App(
        "busybox",
        ["sh", "-c", "exit 3"],
        name="worker",
        env={"KEY": "value"},
        exec="/bin/busybox",
        user="worker:1000",
        workdir="/tmp",
        mounts=[Mount("/srv/data", "/data", read_only=True), Mount(Path("/srv/in"), "/in", recursive=False)],
        security=Security(
            cap_drop=["ALL"],
            cap_add=["NET_ADMIN"],
            seccomp=CallSet("remove", ["mkdir"], "ENOSYS"),
            devices=["/dev/kvm", Device("/dev/fuse", access="rw")],
            ulimits={"nofile": 1024, "core": (0, -1)},
        ),
        resources=Resources(memory_bytes=1 << 30, cpus=1.5, pids=100),
        startup=Probe(exec=["test", "-e", "/run/up"], failures=30, grace_s=1),
        liveness=Probe(http=8080, path="/healthz", headers={"Host": "a.example"}, scheme="https"),
        readiness=Probe(grpc=50051, service="a.B", period_s=0.5, successes=2),
    )
    assert_type(app.resources, Resources | None)
    return PodRequest(
        [app],
        name="job",
        network="host",
        hostname="job",
        grace_s=2.5,
        annotations={"a": "b"},
        resources=Resources(cpuset_cpus="0-1"),
        sysctls={"kernel.msgmax": "9000"},
        cgroup_parent="/machine.slice",
        pid="pod",
    )


def runs(engine: Engine) -> PodEnd | None:
    """One pod, tied to the block."""
    with engine.run(App("busybox", ["true"]), App("busybox", name="two"), timeout_s=30) as pod:
        assert_type(pod, PodHandle)
        assert_type(pod.uuid, str)
        try:
            return pod.wait(timeout_s=10)
        except TimedOut:
            return None


def prepares(engine: Engine) -> str:
    """A pod prepared now and run later, by whoever is first."""
    pod = engine.prepare(App("busybox"), name="later", overlay=False, runtime="runc")
    assert_type(engine.prepare_request(requests()), PodHandle)
    assert_type(engine.run_request(requests(), tied=True), PodHandle)
    try:
        pod.run(tied=False, timeout_s=10.0)
    except LostRace as error:
        return error.state
    except AppStartFailed as error:
        return f"{error.app} {error.code}"
    pod.wait_ready(timeout_s=5)
    return ""


def ends(pod: PodHandle) -> dict[str, int]:
    """An end is one of four, and the checker knows that there are no more."""

    def code(end: AppEnd) -> int:
        match end:
            case Exited(code):
                return code
            case Signaled(signal):
                return 128 + signal
            case OutOfMemory():
                return 137
            case Unknown(reason):
                return len(reason)
            case _:
                assert_never(end)

    end = pod.wait()
    assert_type(end.apps, dict[str, AppEnd])
    assert_type(end.state, State)
    assert_type(end.outcome + end.reason, str)
    return {name: code(one) for name, one in end.apps.items()}


def looks(engine: Engine, uuid: str) -> list[str]:
    """What is known of pods."""
    pod = engine.get(uuid)
    assert_type(engine.handle(uuid), PodHandle)
    status = pod.status()
    assert_type(status, PodStatus)
    assert_type(status.apps, tuple[AppStatus, ...])
    assert_type(status.app("worker").end, AppEnd | None)
    assert_type(status.app("worker").ready, bool)
    assert_type(status.app("worker").probes["readiness"].passing, bool | None)
    assert_type([change.time_ns for change in status.app("worker").probe_changes], list[int])
    assert_type(status.started_ns, int | None)
    assert_type(status.pid, int | None)
    assert_type(status.networks, tuple[NetworkStatus, ...])
    assert_type(status.warnings, tuple[str, ...])
    assert_type(pod.manifest(), bytes)
    assert_type(engine.list(), list[PodStatus])
    return [summary.uuid for summary in engine.summaries() if summary.state is State.RUNNING]


def networks(engine: Engine) -> list[str]:
    """Pods that are reached, and reach others."""
    known = engine.networks(print)
    assert_type(known, tuple[NetworkConfiguration, ...])
    engine.run(App("busybox"), network="host", dns=["host"], hosts={"db": "192.0.2.1"})
    with engine.run(
        App("busybox"), network=["default", "web:IP=10.9.0.10"], ports=["127.0.0.1::80"], dns_search=["a.org"]
    ) as pod:
        assert_type(pod.check_networks(), dict[str, CarobError])
        return [address for one in pod.status().networks for address in (*one.addresses, *one.ports)]


def logs(pod: PodHandle) -> str:
    """Output: all of it, some of it, or as it comes."""
    assert_type(pod.logs().bytes(), bytes)
    for entry in pod.logs("worker", tail=10, since_ns=0).entries(["stderr"]):
        assert_type(entry.time_ns, int)
    for app, entry in pod.follow_logs("worker", tail=0):
        assert_type(app, str)
        assert_type(entry.data, bytes)
        assert_type(entry.stream, str)
    for batch in pod.log_batches():
        assert_type(batch[0][1].output, bytes)
    return pod.logs().text(encoding="latin-1")


def execs(pod: PodHandle) -> str:
    """More processes, as with subprocess."""
    try:
        done = pod.exec(
            ["sh", "-c", "cat"], app="worker", input="in", text=True, check=True, timeout_s=10,
            env={"A": "b"}, cwd="/", user=(0, 0),
        )  # fmt: skip
    except CommandFailed as error:
        return error.stderr
    assert_type(done, Completed)
    assert_type(done.returncode, int)
    assert_type(done.end, AppEnd)
    assert_type(done.stdout, Any)
    done.check_returncode()
    with pod.start(["sh"], tty=True) as running:
        running.resize(24, 80)
        assert_type(running, Execution)
        assert_type(running.stdin, int)
        assert_type(running.fileno(), int)
    running = pod.start(["cat"])
    assert_type(running.communicate(b"in", timeout_s=1.5), tuple[bytes, bytes])
    running.close_stdin()
    assert_type(running.wait(), AppEnd)
    running.close()
    return ""


def apps_that_come_and_go(engine: Engine) -> dict[str, str]:
    """A mutable pod."""
    with engine.sandbox(name="box", network="default", labels={"Any/key": "any value"}) as pod:
        name = pod.add(
            App("busybox", ["httpd", "-f"], name="web"), pid="pod", log_path="/var/log/web/0.log",
            labels={"tier": "front"}, user_annotations={"By": "me"}, pull="never",
        )  # fmt: skip
        assert_type(name, str)
        pod.start_app(name)
        pod.reopen_log(name)
        pod.stop_app(name, grace_s=1.5)
        status = pod.status()
        assert_type(status.mutable, bool)
        app = status.app(name)
        assert_type(app.created_ns, int | None)
        assert_type(app.log_path, str)
        pod.remove_app(name, force=True)
        how: AddOptions = {"pid": "app:web", "insecure": "none"}
        other = pod.add_request(Addition(App("busybox"), **how), warn=print)
        return {**app.labels, **app.annotations, **status.labels, **status.annotations, "other": other}


def a_day(engine: Engine, pod: PodHandle) -> dict[str, str]:
    """Files in and out, what runs and what it takes, what happened, ports."""
    pod.copy_in(Path("config.toml"), "/etc/app.toml", app="worker")
    pod.update(Resources(memory_bytes=1 << 30))
    pod.update(Resources(cpus=1.5, io_max={"/dev/sda": {"wbps": 1 << 20}}), app="worker")
    pod.copy_out("/var/lib/app/.", Path("out"), follow_links=True)
    for process in pod.top("worker"):
        assert_type(process, ProcessInfo)
        assert_type(process.cpu_s, float)
    assert_type(pod.stats(), PodStats)
    for stats in pod.follow_stats(interval_s=0.5):
        assert_type(stats.apps["worker"].working_set_bytes, int | None)
    for one in engine.stats():
        assert_type(one.uuid, str)
    for event in engine.events(since_ns=0, follow=False):
        assert_type(event, Event)
    for event in pod.timeline():
        assert_type(event.time_ns, int)
    with pod.port_forward("8080:80", ":443") as forward:
        assert_type(forward, PortForward)
        assert_type(forward.ports, tuple[tuple[str, int], ...])
        assert_type(forward.wait(1.0), bool)
        forward.close()
    limits = LogLimits(10 << 20, max_files=3)
    engine.run(App("busybox"), log_limits=limits, log_driver="k8s-file")
    assert_type(pod.logs(until_ns=1).text(), str)
    return {check.name: check.mend for check in engine.doctor(runtime="crun")}


def stops(engine: Engine, pod: PodHandle) -> list[str]:
    """Ways to the end."""
    pod.signal(signal.SIGHUP, app="worker")
    pod.pause(app="worker")
    pod.resume()
    pod.restart(app="worker", grace_s=1)
    assert_type(pod.input_modes(), dict[str, str])
    with pod.attach(app="worker", once=True) as attached:
        attached.write(b"line\n")
        attached.resize((24, 80))
    pod.stop(grace_s=1, timeout_s=20)
    pod.kill()
    pod.remove(force=True)
    collection = engine.gc(grace_s=0, expire_prepared_s=3600, mark_only=False)
    assert_type(collection.marked, list[str])
    return collection.problems

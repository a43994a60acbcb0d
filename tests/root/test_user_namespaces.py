"""Root's pods with users and groups of their own: who is who inside, outside and on disk."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from carob import (
    App,
    EmptyVolume,
    Engine,
    Exited,
    File,
    ImageVolume,
    MemoryVolume,
    Mount,
    NamedVolume,
    PodHandle,
    Security,
)
from carob.engine.prepare import ranges
from carob.errors import CarobError, Conflict, InvalidInput, OutOfResources, Unsupported
from carob.linux import syscall as sys
from carob.protocol import plan as plans
from tests.needs import require_command, require_root
from tests.root import host_view
from tests.root.conftest import make_engine

WORKER = (1234, 2345)  # as the image has it
FOREVER = ["sleep", "1000"]


def seen(
    pod: PodHandle, script: str, *, app: str | None = None, user: tuple[int, int] | None = None
) -> list[str]:
    """The lines that a script writes as one more process in the app."""
    done = pod.exec(["sh", "-c", script], text=True, app=app, user=user)
    return str(done.stdout + done.stderr).splitlines()


def first_of(pod: PodHandle) -> int:
    """Who root of the pod is on the host."""
    ((inside, outside, _),) = pod.status().owners["uids"]
    assert inside == 0
    return int(outside)


def init_of(engine: Engine, pod: PodHandle) -> int:
    return host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "init")


def owner(path: Path | str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_uid, found.st_gid


def held() -> dict[str, str]:
    """The ranges that pods of this machine have, by pod."""
    if not os.path.isdir(plans.OWNERS):
        return {}
    found = {}
    for name in os.listdir(plans.OWNERS):
        try:
            found[os.readlink(f"{plans.OWNERS}/{name}").rpartition("/")[2]] = name
        except FileNotFoundError:
            continue
    return found


# --- one pod with all that there is, under each runtime -------------------------------------------

VOLUMES = [
    Mount(EmptyVolume(uid=5, gid=6), "/empty"),
    Mount(MemoryVolume(uid=5, gid=6, size_bytes=1 << 20), "/memory"),
    Mount(NamedVolume("named"), "/named"),
    Mount(ImageVolume("busybox", writable=True), "/image"),
]


@pytest.fixture(scope="module", params=["crun", "runc"])
def both(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    rootfs: Path,
    supervisor_launcher: tuple[str, ...],
) -> Iterator[tuple[Engine, PodHandle, Path]]:
    """A pod of two apps, and a directory of the host that is /host in one and, owners mapped, /mapped."""
    require_root()
    require_command(request.param)
    top = tmp_path_factory.mktemp("both")
    engine = make_engine(top / "data", rootfs, supervisor_launcher)
    host = top / "host"
    host.mkdir()
    host.chmod(0o777)
    of_host = [Mount(str(host), "/host"), Mount(str(host), "/mapped", idmap=True)]
    secret = File("/secret", "s3cret", mode=0o400)
    one = App("busybox", FOREVER, name="one", mounts=[*VOLUMES, *of_host], files=[secret])
    script = "echo out; echo again >/dev/stdout; echo err >/dev/stderr; exec sleep 1000"
    two = App("busybox", ["sh", "-c", script], name="two", user="worker")
    pod = engine.run(one, two, userns="auto", runtime=request.param, hostname="private")
    try:
        yield engine, pod, host
    finally:
        pod.remove(force=True)
        host_view.end_all(engine.data_dir)


def test_its_apps_share_a_user_namespace_that_init_is_not_in(both: tuple[Engine, PodHandle, Path]) -> None:
    engine, pod, _ = both
    outside = first_of(pod)
    for app in ("one", "two"):
        assert (
            seen(pod, "cat /proc/self/uid_map /proc/self/gid_map", app=app)
            == [f"         0 {outside:10} {65536:10}"] * 2
        )
    one, two = (next(info.pid for info in pod.top(app)) for app in ("one", "two"))
    init = init_of(engine, pod)
    for kind in ("user", "net", "ipc", "uts"):
        assert host_view.namespace(one, kind) == host_view.namespace(two, kind)
        assert host_view.namespace(one, kind) != host_view.namespace(os.getpid(), kind)
    assert host_view.namespace(init, "user") == host_view.namespace(os.getpid(), "user")
    assert host_view.namespace(init, "net") == host_view.namespace(one, "net")


def test_top_and_status_show_both_sides(both: tuple[Engine, PodHandle, Path]) -> None:
    _, pod, _ = both
    outside = first_of(pod)
    assert {(info.app, info.user, info.uid, info.host_uid) for info in pod.top()} == {
        ("one", "root", 0, outside),
        ("two", "worker", WORKER[0], outside + WORKER[0]),
    }
    assert pod.status().owners == {"uids": [[0, outside, 65536]], "gids": [[0, outside, 65536]]}


def test_the_image_and_the_volumes_belong_to_who_they_say(both: tuple[Engine, PodHandle, Path]) -> None:
    _, pod, _ = both
    names = "/ /bin /home/worker /image/home/worker /named /empty /memory /secret /dev/shm"
    assert seen(pod, f"stat -c '%u %g %n' {names}", app="one") == [
        "0 0 /",
        "0 0 /bin",
        "1234 2345 /home/worker",
        "1234 2345 /image/home/worker",
        "0 0 /named",
        "5 6 /empty",
        "5 6 /memory",
        "0 0 /secret",
        "0 0 /dev/shm",
    ]


def test_who_is_root_may_do_in_it_what_root_does(both: tuple[Engine, PodHandle, Path]) -> None:
    _, pod, _ = both
    places = "/ /home/worker /empty /memory /named /image /image/home/worker /dev/shm"
    each = "echo x >$d/f && chown 7:8 $d/f && stat -c '%u %g' $d/f"
    script = f"for d in {places}; do {each}; done; cat /secret"
    assert seen(pod, script, app="one") == ["7 8"] * 8 + ["s3cret"]


def test_what_it_writes_is_on_the_host_as_it_should_be(both: tuple[Engine, PodHandle, Path]) -> None:
    engine, pod, host = both
    outside = first_of(pod)
    assert seen(pod, "touch /host/raw /mapped/mapped; chown 7 /host/raw /mapped/mapped", app="one") == []
    assert owner(host / "raw") == (outside + 7, outside)
    assert owner(host / "mapped") == (7, 0)
    assert seen(pod, "stat -c '%u %g' /mapped/raw /host/raw /host", app="one") == [
        "65534 65534",
        "7 0",
        "65534 65534",
    ]
    (host / "only-root").write_text("")
    (host / "only-root").chmod(0o600)
    assert seen(pod, "cat /host/only-root; chmod 777 /host/only-root", app="one") == [
        "cat: can't open '/host/only-root': Permission denied",
        "chmod: /host/only-root: Operation not permitted",
    ]
    seen(pod, "touch /root/mine /named/mine", app="one")
    (upper,) = host_view.pod_directory(engine.data_dir, pod.uuid).glob("overlay/sha256-*/upper/one")
    assert owner(upper) == owner(upper / "root/mine") == (outside, outside)
    assert owner(Path(engine.data_dir, "volumes/named/data/mine")) == (0, 0)


def test_it_has_no_power_over_the_host(both: tuple[Engine, PodHandle, Path]) -> None:
    _, pod, _ = both
    script = (
        "for f in /proc/sys/kernel/hostname /proc/sysrq-trigger; do"
        " (echo x >$f) 2>/dev/null && echo wrote $f; done;"
        " mount -t tmpfs none /tmp 2>/dev/null && echo mounted;"
        " mknod /tmp/d b 254 0 2>/dev/null && echo made;"
        " chmod 600 /dev/null 2>/dev/null && echo changed; hostname; true"
    )
    assert seen(pod, script, app="one") == ["private"]


def test_streams_terminals_and_other_users_work(both: tuple[Engine, PodHandle, Path]) -> None:
    _, pod, _ = both
    host_view.eventually("all is in the log", lambda: len(pod.logs("two").text().splitlines()) == 3)
    assert sorted(pod.logs("two").text().split()) == ["again", "err", "out"]
    assert seen(pod, "id -u; echo x >/dev/stdout", app="one", user=WORKER) == ["1234", "x"]
    with pod.start(["sh", "-c", "stat -c '%u' $(tty); echo typed"], app="one", tty=True) as execution:
        assert execution.wait() == Exited(0)


def test_files_go_in_and_out_with_their_owners(both: tuple[Engine, PodHandle, Path], tmp_path: Path) -> None:
    _, pod, _ = both
    source = tmp_path / "file"
    source.write_text("copied")
    source.chmod(0o600)
    os.chown(source, 55, 66)
    for place in ("/root", "/named", "/empty", "/memory", "/home/worker"):
        pod.copy_in(str(source), f"{place}/copied", app="one")
        assert seen(pod, f"stat -c '%u %g %a' {place}/copied; cat {place}/copied", app="one") == [
            "55 66 600",
            "copied",
        ]
    # Whoever copied is root of the host again, with all that it could.
    assert sys.syscall(sys.SYS_SETFSUID, -1) == 0
    os.chown(source, 0, 0)
    pod.copy_out("/root/copied", str(tmp_path / "back"), app="one")
    assert owner(tmp_path / "back") == (55, 66)
    os.chown(source, 70000, 0)
    with pytest.raises(InvalidInput, match="has no user 70000"):
        pod.copy_in(str(source), "/root/", app="one")


# --- a pod's life ---------------------------------------------------------------------------------


@pytest.mark.parametrize("overlay", [True, False])
def test_what_is_left_of_an_ended_pod_has_the_pods_owners(
    engine: Engine, tmp_path: Path, overlay: bool
) -> None:
    script = "mkdir /new; chown 7:8 /new; touch /new/f; chown worker /bin/plain"
    pod = engine.run(App("busybox", ["sh", "-c", script]), userns="auto", overlay=overlay)
    pod.wait()
    pod.export(str(tmp_path / "export.tar"))
    with open(tmp_path / "copy.tar", "wb") as file:
        pod.copy_out("/", file.fileno())
    for name in ("export.tar", "copy.tar"):
        with tarfile.open(tmp_path / name) as tar:
            found = {member.name.removeprefix("./"): (member.uid, member.gid) for member in tar}
        assert found["new"] == (7, 8)
        assert found["new/f"] == (0, 0)
        assert found["bin/plain"] == (1234, 0)
        assert found["home/worker"] == WORKER
        assert found["bin/busybox"] == (0, 0)
    pod.remove()
    host_view.nothing_left(engine.data_dir, pod.uuid)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize(
    "options", [{"pid": "pod"}, {"network": "host"}, {"ipc": "private"}, {"uts": "host"}]
)
def test_other_namespaces_go_with_it(engine: Engine, runtime: str, options: dict[str, str]) -> None:
    require_command(runtime)
    app = App("busybox", FOREVER)
    with engine.run(app, userns="auto", runtime=runtime, **options) as pod:  # type: ignore[arg-type]
        said = seen(pod, "cat /proc/1/comm; ls /sys/class/net; ls /sys/fs/cgroup | wc -l; ls -d /proc/1")
        assert said[0] == ("carob-init" if options == {"pid": "pod"} else "sleep")
        links = sorted(os.listdir("/sys/class/net")) if options == {"network": "host"} else ["lo"]
        assert said[1:-2] == links
        assert said[-2:] == ["0", "/proc/1"]
        assert seen(pod, "ls /proc/1/root 2>&1 | head -1") != ["apps"]


def test_capabilities_of_init_are_out_of_reach_even_with_all_of_the_pods(engine: Engine) -> None:
    app = App("busybox", FOREVER, security=Security(privileged=True))
    with engine.run(app, userns="auto", pid="pod") as pod:
        script = "ls /proc/1/root; cat /proc/1/environ; kill -9 1; echo alive"
        assert seen(pod, f"exec 2>/dev/null; {script}") == ["alive"]
        assert seen(pod, "grep CapEff /proc/self/status")[0] != "CapEff:\t" + "0" * 16
        assert seen(pod, "ls /dev/vda /dev/mem 2>/dev/null") == []


def test_mappings_by_hand_are_taken_as_they_are(engine: Engine) -> None:
    options = {"uidmap": ["0:100000:1000", "1000:300000:1000"], "gidmap": ["0:200000:4000"]}
    with engine.run(App("busybox", FOREVER, user="worker"), **options) as pod:  # type: ignore[arg-type]
        assert host_view.read(f"/proc/{pod.top()[0].pid}/uid_map").split() == [
            *("0", "100000", "1000"),
            *("1000", "300000", "1000"),
        ]
        assert pod.top()[0].host_uid == 300234
        assert pod.status().owners["gids"] == [[0, 200000, 4000]]
        assert pod.uuid not in held()


def test_kernel_parameters_of_the_pods_namespaces_are_set(engine: Engine) -> None:
    wanted = {"net.core.somaxconn": "77", "kernel.msgmax": "9000"}
    with engine.run(App("busybox", FOREVER), userns="auto", sysctls=wanted, hostname="named") as pod:
        script = "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax; hostname"
        assert seen(pod, script, user=WORKER) == ["77", "9000", "named"]


def test_an_app_of_a_mutable_pod_is_in_the_pods(engine: Engine) -> None:
    with engine.sandbox(userns="auto") as pod:
        pod.add(App("busybox", FOREVER, name="app", mounts=VOLUMES, files=[File("/secret", "s3cret")]))
        pod.start_app("app")
        assert pod.top()[0].host_uid == first_of(pod)
        names = "/home/worker /image/home/worker /named /empty /memory /secret"
        assert seen(pod, f"stat -c '%u %g' {names}", app="app") == [
            *("1234 2345", "1234 2345", "0 0", "5 6", "5 6", "0 0")
        ]
        assert seen(pod, "touch /f /named/f /empty/f && cat /secret", app="app") == ["s3cret"]


# --- ranges ---------------------------------------------------------------------------------------


def test_pods_never_share_a_range_and_give_it_back(engine: Engine) -> None:
    pods = [engine.run(App("busybox", FOREVER), userns=f"auto:size={size}") for size in (65536, 3000, 70000)]
    spans = sorted((one[1], one[2]) for pod in pods for one in pod.status().owners["uids"])
    assert all(first + count <= after for (first, count), (after, _) in pairwise(spans))
    assert {pod.uuid for pod in pods} <= held().keys()
    for pod in pods:
        pod.remove(force=True)
    assert not {pod.uuid for pod in pods} & held().keys()


def test_after_a_sigkill_of_all_that_keeps_a_pod_gc_gives_its_range_back(engine: Engine) -> None:
    pod = engine.run(App("busybox", FOREVER), userns="auto")
    inside = host_view.Inside(init_of(engine, pod))
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    for which in ("monitor", "init"):
        os.kill(host_view.keeper(directory, which), signal.SIGKILL)
        host_view.wait_gone(host_view.keeper(directory, which))
    assert pod.uuid in held()
    assert engine.gc(grace_s=0).problems == []
    assert pod.uuid not in held()
    host_view.nothing_left(engine.data_dir, pod.uuid, inside)


def test_no_range_left_is_an_error_before_there_is_a_pod(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ranges.Ranges([(0x7FFD0000, 70000)], str(tmp_path / "owners"))
    monkeypatch.setattr(ranges, "of_this_host", lambda: few)
    with engine.run(App("busybox", FOREVER), userns="auto") as pod:
        assert first_of(pod) == 0x7FFD0000
        with pytest.raises(OutOfResources, match="65536 of 70000") as raised:
            engine.run(App("busybox", FOREVER), userns="auto")
        assert "/etc/subuid" in raised.value.hint
        assert len(host_view.pod_directories(engine.data_dir)) == 1
    with engine.run(App("busybox", FOREVER), userns="auto") as pod:
        assert first_of(pod) == 0x7FFD0000


def test_a_prepared_pod_keeps_its_range_or_says_that_it_is_gone(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_only = ranges.Ranges([(0x7FFD0000, 65536)], str(tmp_path / "owners"))
    monkeypatch.setattr(ranges, "of_this_host", lambda: one_only)
    app = App("busybox", FOREVER)
    kept, lost = engine.prepare(app, userns="auto"), None
    kept.run()
    assert kept.top()[0].host_uid == 0x7FFD0000
    kept.remove(force=True)
    lost = engine.prepare(app, userns="auto")
    for name in os.listdir(tmp_path / "owners"):
        os.unlink(tmp_path / "owners" / name)
    with engine.run(app, userns="auto"), pytest.raises(Conflict, match="are another pod's by now"):
        lost.run()
    lost.run()
    lost.remove(force=True)


# --- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("app", "options", "kind", "said"),
    [
        (App("busybox", user="70000"), {"userns": "auto"}, InvalidInput, "user 70000 is not mapped"),
        (App("busybox", user="worker"), {"userns": "auto:size=100"}, InvalidInput, "is not mapped"),
        (
            App("busybox", files=[File("/f", "x", uid=70000)]),
            {"userns": "auto"},
            InvalidInput,
            "file /f: user 70000 is not mapped",
        ),
        (
            App("busybox", mounts=[Mount(MemoryVolume(gid=70000), "/v")]),
            {"userns": "auto"},
            InvalidInput,
            "volume at /v: group 70000 is not mapped",
        ),
        (
            App("busybox", security=Security(devices=["/dev/fuse"])),
            {"userns": "auto"},
            (Unsupported, InvalidInput),
            "no devices of the host",
        ),
    ],
)
def test_what_cannot_be_is_an_error_before_there_is_a_pod(
    engine: Engine,
    app: App,
    options: dict[str, str],
    kind: type[CarobError],
    said: str,
) -> None:
    with pytest.raises(kind, match=said):
        engine.run(app, **options)  # type: ignore[arg-type]
    assert host_view.pod_directories(engine.data_dir) == []


def test_a_volume_whose_file_system_cannot_map_owners_is_named(engine: Engine) -> None:
    app = App("busybox", FOREVER, mounts=[Mount("/proc/driver", "/d", idmap=True)])
    with pytest.raises(CarobError, match=r"cannot map owners.*/proc/driver"):
        engine.run(app, userns="auto")


def test_who_is_root_in_one_pod_is_nobody_to_another(engine: Engine, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
    app = App("busybox", FOREVER, mounts=[Mount(str(shared), "/shared")])
    with engine.run(app, userns="auto") as one, engine.run(app, userns="auto") as other:
        assert seen(one, "echo secret >/shared/f; chmod 600 /shared/f") == []
        assert seen(other, "cat /shared/f; stat -c %u /shared/f") == [
            "65534",
            "cat: can't open '/shared/f': Permission denied",
        ]
        (mine,) = [info.pid for info in one.top()]
        assert subprocess.run(["kill", "-0", str(mine)], check=False).returncode == 0

"""What loosens and tightens an app, as seen from inside it, under both runtimes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from carob import App, Device, Engine, Security
from carob.engine.images.collection import Images
from carob.engine.rkt.manifest import request
from carob.errors import CarobError, InvalidInput, NotFound, PermissionDenied, Unsupported
from carob.runtime import capabilities
from tests.needs import require, require_command
from tests.root import host_view

SOON_S = 60
FOREVER = ["sleep", "1000"]
RUNTIMES = ("crun", "runc")


def mask(*names: str) -> str:
    numbers = [capabilities.NAMES.index(f"CAP_{name}") for name in names]
    return f"{sum(1 << number for number in numbers):016x}"


STATUS = "grep -E '^(CapEff|CapAmb|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_each_switch_does_what_it_says(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    default = [name.removeprefix("CAP_") for name in capabilities.DEFAULT]
    cases: dict[str, tuple[Security, str, list[str]]] = {
        "none": (Security(cap_drop=["ALL"]), STATUS, [f"CapEff:\t{mask()}", f"CapBnd:\t{mask()}"]),
        "less": (
            Security(cap_drop=["KILL"], cap_add=["net_admin"]),
            STATUS,
            [f"CapEff:\t{mask(*(one for one in default if one != 'KILL'), 'NET_ADMIN')}"],
        ),
        "retained": (Security(cap_retain=["CHOWN"]), STATUS, [f"CapBnd:\t{mask('CHOWN')}"]),
        "gaining": (Security(no_new_privileges=False), STATUS, ["NoNewPrivs:\t0", "Seccomp:\t2"]),
        "sealed": (
            Security(read_only_rootfs=True),
            "touch /x /dev/shm/x; ls /dev/shm",
            ["Read-only", "\nx\n"],
        ),
        "limited": (Security(ulimits={"nofile": (100, 200)}), "ulimit -n; ulimit -Hn", ["100\n", "200\n"]),
        "grouped": (Security(groups=["drivers", 77]), "id -G", ["0 77 3456\n"]),
        "careful": (
            Security(umask=0o77, oom_score_adj=300),
            "umask; cat /proc/self/oom_score_adj",
            ["0077", "300"],
        ),
        "hidden": (Security(mask=["/etc/passwd"]), "wc -c </etc/passwd", ["0\n"]),
        "shown": (
            Security(unmask=["/proc/inter*"]),
            "wc -c </proc/timer_list; head -c 1 /proc/interrupts | wc -c",
            ["0\n1\n"],
        ),
    }  # fmt: skip
    apps = [
        App("busybox", ["sh", "-c", f"({script}) 2>&1; true"], name=name, security=security)
        for name, (security, script, _) in cases.items()
    ]
    with engine.run(*apps, runtime=runtime) as pod:
        pod.wait(timeout_s=SOON_S)
        for name, (_, _, expected) in cases.items():
            said = pod.logs(name).text()
            assert all(words in said for words in expected), (name, said)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_another_user_holds_what_is_added_and_executions_have_the_same(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    app = App("busybox", FOREVER, user="worker", security=Security(cap_add=["NET_ADMIN"]))
    with engine.run(app, runtime=runtime) as pod:
        said = pod.exec(["sh", "-c", STATUS], text=True).stdout
        assert f"CapEff:\t{mask('NET_ADMIN')}" in said
        assert f"CapAmb:\t{mask('NET_ADMIN')}" in said
        assert "NoNewPrivs:\t1\nSeccomp:\t2" in said
        # Root's work in the same app: what the app's root would hold.
        as_root = pod.exec(["sh", "-c", STATUS], user=(0, 0), text=True).stdout
        assert "NoNewPrivs:\t1\nSeccomp:\t2" in as_root


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_execution_as_another_user_holds_none_of_roots_capabilities(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    with engine.run(App("busybox", FOREVER), runtime=runtime) as pod:
        said = pod.exec(["sh", "-c", STATUS], user=(1234, 2345), text=True).stdout
        assert f"CapEff:\t{mask()}" in said


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_privileged_is_all_that_the_caller_has(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    script = (
        f"{STATUS}; mount -t tmpfs none /tmp && echo mounted;"
        " test -w /proc/sys/kernel/hostname && echo writable;"
        " find /dev -type b | head -n 1 | wc -l; mount | grep -c '^sysfs.*(rw'"
    )
    with engine.run(App("busybox", FOREVER, security=Security(privileged=True)), runtime=runtime) as pod:
        said = pod.exec(["sh", "-c", script], text=True).stdout
    own = next(line for line in host_view.read("/proc/self/status").splitlines() if line.startswith("CapBnd"))
    assert own in said
    assert "NoNewPrivs:\t0\nSeccomp:\t0\nmounted\nwritable\n" in said
    if any(os.path.exists(f"/dev/{name}") for name in os.listdir("/sys/block")):
        assert said.endswith("\n1\n1\n"), said


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_device_is_given_with_the_access_that_is_asked_for(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    require(os.path.exists("/dev/fuse"), "needs /dev/fuse")
    cases = {
        "without": (None, "ls /dev/fuse; mknod /dev/f c 10 229; : </dev/f", "No such file", "not permitted"),
        "reads": (Device("/dev/fuse", "/dev/x/fuse", access="r"), ": </dev/x/fuse && echo read", "read", ""),
        "writes": (Device("/dev/fuse", access="r"), ": >/dev/fuse && echo wrote", "not permitted", ""),
        "both": (Device("/dev/fuse"), ": <>/dev/fuse && echo both", "both", ""),
    }
    apps = []
    for name, (device, script, *_) in cases.items():
        security = Security(devices=[device] if device else [], cap_add=["MKNOD"])
        apps.append(App("busybox", ["sh", "-c", f"({script}) 2>&1; true"], name=name, security=security))
    with engine.run(*apps, runtime=runtime) as pod:
        pod.wait(timeout_s=SOON_S)
        for name, (_, _, *expected) in cases.items():
            said = pod.logs(name).text()
            assert all(words in said for words in expected), (name, said)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_namespaces_that_are_shared_or_not(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    look = ["sh", "-c", "for ns in ipc uts; do readlink /proc/self/ns/$ns; done; hostname"]
    here = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("ipc", "uts")]

    def seen(**options: Any) -> list[list[str]]:
        apps = [App("busybox", FOREVER, name=name) for name in ("one", "two")]
        with engine.run(*apps, runtime=runtime, **options) as pod:
            return [pod.exec(look, app=app, text=True).stdout.split() for app in ("one", "two")]

    one, two = seen(hostname="mine")
    assert one == two
    assert one[2] == "mine"
    assert not {one[0], one[1]} & set(here)
    one, two = seen(ipc="private")
    assert one[0] not in (two[0], here[0])
    one, two = seen(ipc="host", uts="host")
    assert one == two == [*here, os.uname().nodename]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_shared_pid_namespace_shows_the_pods_processes_and_guards_init(
    engine: Engine, runtime: str
) -> None:
    require_command(runtime)
    apps = [App("busybox", FOREVER, name="one"), App("busybox", ["sleep", "1001"], name="two")]
    with engine.run(*apps, runtime=runtime, pid="pod") as pod:
        said = pod.exec(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], app="one", text=True).stdout
        assert "sleep 1001" in said
        reach = (
            "(ls /proc/1/root/ /proc/1/cwd/; cat /proc/1/environ /proc/1/fd/4) 2>&1;"
            " for s in INT TERM KILL; do kill -$s 1; done"
        )
        said = pod.exec(["sh", "-c", reach], app="one", text=True).stdout
        assert said.count("ermission denied") == 4, said
        assert str(pod.status().state) == "running"
    host_view.nothing_left(engine.data_dir, pod.uuid)


def test_sysctls_are_the_pods_own(engine: Engine) -> None:
    names = ("net/core/somaxconn", "kernel/msgmax", "fs/mqueue/msg_max")
    before = [host_view.read(f"/proc/sys/{name}") for name in names]
    wanted = {"net.core.somaxconn": "77", "kernel/msgmax": "9000", "fs.mqueue.msg_max": "8"}
    with engine.run(App("busybox", FOREVER), sysctls=wanted) as pod:
        said = pod.exec(["sh", "-c", f"cd /proc/sys; cat {' '.join(names)}"], text=True).stdout
        assert said.split() == ["77", "9000", "8"]
    assert [host_view.read(f"/proc/sys/{name}") for name in names] == before


def test_every_user_of_a_pods_network_may_ping_and_serve_on_low_ports(engine: Engine) -> None:
    with engine.run(App("busybox", FOREVER, user="worker")) as pod:
        groups = pod.exec(["cat", "/proc/sys/net/ipv4/ping_group_range"], text=True).stdout
        assert groups.split() == ["0", "2147483647"]
        serve = "nc -l -p 80 -e true & sleep 0.1; echo | nc 127.0.0.1 80 && echo served"
        assert "served" in pod.exec(["sh", "-c", serve], text=True).stdout


@pytest.mark.parametrize(
    ("security", "error", "words"),
    [
        (Security(devices=["/dev/nothing"]), NotFound, "/dev/nothing is not there"),
        (Security(devices=[Device("/etc/passwd", "/dev/x")]), InvalidInput, "is no device"),
        (Security(seccomp="/nowhere.json"), NotFound, "/nowhere.json cannot be read"),
        (Security(seccomp="/etc/passwd"), InvalidInput, "/etc/passwd: the seccomp profile is no JSON"),
        (Security(ulimits={"nofile": 1 << 40}), PermissionDenied, "the limit nofile cannot be"),
        (Security(groups=["nobodys"]), InvalidInput, "no group 'nobodys'"),
    ],
)
def test_what_cannot_be_had_is_refused_before_there_is_a_pod(
    engine: Engine, security: Security, error: type[CarobError], words: str
) -> None:
    with pytest.raises(error, match=words):
        engine.prepare(App("busybox", ["true"], security=security))
    assert engine.list() == []


def test_labels_are_refused_where_the_host_has_none(engine: Engine) -> None:
    if not os.path.exists("/sys/module/apparmor/parameters/enabled"):
        with pytest.raises(Unsupported, match="no AppArmor"):
            engine.prepare(App("busybox", ["true"], security=Security(apparmor="some-profile")))
    if not os.path.exists("/sys/fs/selinux/enforce"):
        with pytest.raises(Unsupported, match="no SELinux"):
            engine.prepare(App("busybox", ["true"], security=Security(selinux="a:b:c:s0")))
    engine.prepare(App("busybox", ["true"], security=Security(apparmor="unconfined", selinux="disable")))


@pytest.mark.parametrize("name", ["SYS_PTRACE", "SYS_ADMIN"])
def test_who_could_reach_into_init_does_not_share_its_namespace(engine: Engine, name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot share the pod's processes"):
        engine.prepare(App("busybox", ["true"], security=Security(cap_add=[name])), pid="pod")


def test_a_manifest_tells_all_of_it_and_makes_the_same_pod(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    security = Security(
        cap_add=["NET_ADMIN"], seccomp=str(tmp_path / "profile.json"), read_only_rootfs=True, groups=[9],
        ulimits={"nofile": 100}, devices=["/dev/null"], mask=["/etc/passwd"], umask=0, oom_score_adj=5,
    )  # fmt: skip
    first = engine.prepare(App("busybox", ["true"], env={"HOSTNAME": "x"}, security=security), ipc="private")
    manifest = json.loads(first.manifest())
    (entry,) = manifest["apps"]
    told = {one["name"]: one["value"] for one in entry["app"]["isolators"]}
    assert "CAP_NET_ADMIN" in told["os/linux/capabilities-retain-set"]["set"]
    assert told["os/linux/oom-score-adj"] == 5
    assert entry["readOnlyRootFS"] is True
    again = engine.prepare_request(request(first.manifest(), Images(engine.data_dir)))

    def config(uuid: str) -> Any:
        directory = host_view.pod_directory(engine.data_dir, uuid)
        return json.loads(host_view.read(directory / "carob/apps/busybox/config.json").replace(uuid, "UUID"))

    assert config(again.uuid) == config(first.uuid)
    entry["app"]["isolators"] = []
    with pytest.raises(InvalidInput, match="do not say the same"):
        request(json.dumps(manifest).encode(), Images(engine.data_dir))

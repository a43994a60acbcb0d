"""Security and limits on the command line: docker's words, and rkt's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from carob.cli.app_grammar import parse
from carob.cli.options import Arguments, Command, UsageError
from carob.cli.pod_options import FOR_ONE_APP, FOR_POD
from carob.cli.resource_options import pod_limits, resources, size_bytes
from carob.cli.security_options import security
from carob.engine.request.resources import Resources
from carob.engine.request.security import Security
from carob.errors import InvalidInput
from carob.runtime.seccomp.call_set import CallSet
from tests.cli.conftest import Command as Carob

RUN = Command("run", "", options=FOR_POD, apps=FOR_ONE_APP)
MIB = 1 << 20


def given(words: str) -> tuple[Arguments, Arguments]:
    found = parse(RUN, words.split())
    return found, found.apps[0].options


def asked(words: str) -> dict[str, Any]:
    made = security(*given(words))
    assert isinstance(made, Security)
    return made.given()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("i --cap-add net_admin,kill --cap-add=bpf", {"cap_add": ("CAP_NET_ADMIN", "CAP_KILL", "CAP_BPF")}),
        ("--cap-drop ALL i --cap-add kill", {"cap_drop": ("ALL",), "cap_add": ("CAP_KILL",)}),
        ("i --caps-remove=CAP_KILL", {"cap_drop": ("CAP_KILL",)}),
        ("i --caps-retain CAP_KILL", {"cap_retain": ("CAP_KILL",)}),
        ("i --readonly-rootfs=true", {"read_only_rootfs": True}),
        ("--read-only i", {"read_only_rootfs": True}),
        ("i --privileged", {"privileged": True}),
        ("i --no-new-privileges=false", {"no_new_privileges": False}),
        ("i --security-opt no-new-privileges", {"no_new_privileges": True}),
        ("i --security-opt no-new-privileges:false", {"no_new_privileges": False}),
        ("i --security-opt seccomp=unconfined", {"seccomp": "unconfined"}),
        ("i --security-opt label=disable", {"selinux": "disable"}),
        ("i --security-opt label=a:b:c:s0:c1", {"selinux": "a:b:c:s0:c1"}),
        ("i --security-opt apparmor=unconfined", {"apparmor": "unconfined"}),
        ("i --security-opt mask=/a:/b", {"mask": ("/a", "/b")}),
        ("i --security-opt unmask=ALL", {"unmask": ("ALL",)}),
        ("i --security-opt systempaths=unconfined", {"unmask": ("ALL",)}),
        (
            "i --ulimit nofile=10:20 --ulimit core=-1",
            {"ulimits": {"nofile": (10, 20), "core": ((1 << 64) - 1,) * 2}},
        ),
        ("--group-add a i --supplementary-gids 7,8", {"groups": ("a", "7", "8")}),
        ("i --umask 027", {"umask": 0o27}),
        ("i --oom-score-adj=-5", {"oom_score_adj": -5}),
    ],
)
def test_words_for_security(words: str, expected: dict[str, Any]) -> None:
    assert asked(words) == expected


def test_a_filter_in_rkts_words() -> None:
    found = asked("i --seccomp mode=remove,errno=ENOSYS,mkdir,mkdirat")["seccomp"]
    assert isinstance(found, CallSet)
    assert (found.mode, found.names, found.errno) == ("remove", ("mkdir", "mkdirat"), "ENOSYS")


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/fuse", ("/dev/fuse", "/dev/fuse", "rwm")),
        ("/dev/fuse:r", ("/dev/fuse", "/dev/fuse", "r")),
        ("/dev/sdb:/dev/x", ("/dev/sdb", "/dev/x", "rwm")),
        ("/dev/sdb:/dev/x:rw", ("/dev/sdb", "/dev/x", "rw")),
    ],
)
def test_devices(text: str, device: tuple[str, str, str]) -> None:
    (found,) = asked(f"i --device {text}")["devices"]
    assert (found.source, found.target, found.access) == device


def test_nothing_said_is_nothing_given() -> None:
    assert security(*given("i --env A=b")) is None
    assert resources(*given("i --env A=b")) is None
    assert pod_limits(given("i")[0]) is None


@pytest.mark.parametrize(
    "words",
    [
        "i --security-opt bogus", "i --security-opt seccomp", "i --device a:b:c:d", "i --ulimit nofile",
        "i --ulimit nofile=1:", "i --ulimit nofile=x", "i --umask 9", "i --readonly-rootfs=maybe",
        "i --oom-score-adj x", "i --seccomp mode=keep,read", "i --seccomp mode=retain,color=red",
    ],
)  # fmt: skip
def test_words_that_say_nothing_for_security(words: str) -> None:
    with pytest.raises(InvalidInput):
        security(*given(words))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-m 64m i", Resources(memory_bytes=64 * MIB)),
        ("-m 64m i --memory=1.5g", Resources(memory_bytes=1536 * MIB)),
        ("i --memory 64Mi --memory-swap -1", Resources(memory_bytes=64 * MIB, memory_swap_bytes=-1)),
        ("i --memory-reservation 64000kb", Resources(memory_reservation_bytes=64000 << 10)),
        ("i --cpus 1.5", Resources(cpus=1.5)),
        ("i --cpu 500m", Resources(cpus=0.5)),
        ("i --cpu-quota 5000 --cpu-period 10000", Resources(cpu_quota_us=5000, cpu_period_us=10000)),
        ("i --cpu-shares 2 --pids-limit -1", Resources(cpu_shares=2, pids=-1)),
        ("i --cpuset-cpus 0,2-3 --cpuset-mems 0", Resources(cpuset_cpus="0,2-3", cpuset_mems="0")),
        ("i --blkio-weight 10", Resources(io_weight=10)),
        ("i --device-read-bps /dev/a:1m --device-write-iops /dev/a:5",
         Resources(io_max={"/dev/a": {"rbps": MIB, "wiops": 5}})),
        ("i --hugepages 2MB=4m", Resources(hugepages={"2MB": 4 * MIB})),
    ],
)  # fmt: skip
def test_words_for_limits(words: str, expected: Resources) -> None:
    assert resources(*given(words)) == expected


def test_limits_of_the_pod() -> None:
    found = pod_limits(given("i --pod-limits memory=64m,cpuset-cpus=0,2,cpus=1 --pod-limits=pids-limit=5")[0])
    assert found == Resources(memory_bytes=64 * MIB, cpuset_cpus="0,2", cpus=1, pids=5)


@pytest.mark.parametrize(
    "words",
    [
        "i --memory x", "i --memory 1.2.3g", "i --memory 5q", "i --cpus two", "i --cpus 1e3", "i --cpus nan",
        "i --pids-limit 1.5", "i --device-read-bps /dev/a", "i --device-read-iops /dev/a:1m",
        "i --hugepages 2MB", "i --pod-limits memory", "i --pod-limits memry=1g",
    ],
)  # fmt: skip
def test_words_that_say_nothing_for_limits(words: str) -> None:
    pod, own = given(words)
    with pytest.raises(UsageError):
        _ = resources(pod, own), pod_limits(pod)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("5", 5), ("5b", 5), ("1kb", 1024), ("1KiB", 1024), ("0.5k", 512)]
)
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text, "--memory") == size


def test_a_pod_with_all_of_it_and_an_update(carob: Carob) -> None:
    uuid = carob.detached(
        "--pod-limits", "pids-limit=90", "--sysctl", "net.core.somaxconn=77", "--ipc", "private",
        "--cap-drop", "ALL", "busybox", "--memory", "32m", "--ulimit", "nofile=100", "--", "sleep", "1000",
    )  # fmt: skip
    said = carob.ok("enter", uuid, "--", "cat", "/proc/self/status", "/proc/sys/net/core/somaxconn")
    assert "CapEff:\t0000000000000000" in said
    assert "Seccomp:\t2" in said
    assert said.endswith("77\n")
    assert carob.ok("update", "--memory=48m", "--app=busybox", uuid).strip() == uuid
    (config,) = Path(carob.data_dir).glob(f"pods/run/{uuid}/carob/apps/busybox/config.json")
    assert json.loads(config.read_text())["linux"]["resources"]["memory"]["limit"] == 48 * MIB
    refused = carob("update", uuid)
    assert refused.returncode != 0
    assert "nothing to update" in refused.stderr
    manifest = json.loads(carob.ok("cat-manifest", uuid))
    assert {one["name"] for one in manifest["isolators"]} == {"os/unix/sysctl"}
    carob.ok("rm", "--force", uuid)


def test_a_pod_with_users_of_its_own(carob: Carob, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    mapped = f"{tmp_path}:/mapped:idmap"
    uuid = carob.detached("--private-users", "--volume", mapped, "busybox", "--", "sleep", "1000")
    status = dict(line.split("=", 1) for line in carob.ok("status", uuid).splitlines())
    inside, outside, count = status["uids"].split(":")
    assert (inside, count, status["gids"]) == ("0", "65536", status["uids"])
    assert carob.ok("enter", uuid, "--", "cat", "/proc/self/uid_map").split() == [inside, outside, count]
    legend, line = carob.ok("top", uuid).splitlines()
    at = legend.index("HOST UID")
    assert line[at:].split()[0] == outside
    carob.ok("enter", uuid, "--", "sh", "-c", "echo >/mapped/made")
    assert (tmp_path / "made").stat().st_uid == 0
    carob.ok("rm", "--force", uuid)
    uuid = carob.detached("--uidmap", "0:100000:2000", "busybox", "--", "sleep", "1000")
    assert "uids=0:100000:2000\ngids=0:100000:2000\n" in carob.ok("status", uuid)
    carob.ok("rm", "--force", uuid)


def test_a_pod_among_the_hosts_processes(carob: Carob) -> None:
    uuid = carob.detached("--pid=host", "busybox", "--", "sleep", "1000")
    assert (
        carob.ok("enter", uuid, "--", "cat", f"/proc/{os.getpid()}/comm")
        == Path("/proc/self/comm").read_text()
    )
    carob.ok("rm", "--force", uuid)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--pid", "all", "busybox"), "private or pod or host"),
        (("--userns", "keep-id", "busybox"), "auto:size"),
        (("--userns=host", "--private-users", "busybox"), "do not go together"),
        (("--uidmap", "1:2:3", "busybox"), "0 is not mapped"),
        (("--sysctl", "kernel.panic=1", "busybox"), "the whole machine's"),
        (("busybox", "--cap-add", "NOPE"), "no capability"),
        (("busybox", "--sysctl-x", "a"), "unknown option"),
    ],
)
def test_mistakes_leave_no_pod(carob: Carob, words: tuple[str, ...], hint: str) -> None:
    refused = carob("run", *words)
    assert refused.returncode != 0
    assert hint in refused.stderr
    assert carob.json("list") in ([], {"pods": []})

"""The OCI configuration: what isolates an app by default is in it, and nothing of the host is."""

from __future__ import annotations

import json

from carob.runtime.bundle import Process, Volume, config, text
from carob.runtime.capabilities import DEFAULT
from carob.runtime.confinement import usual

ROOT = Process(["sh", "-c", "true"], ["PATH=/bin"], "/work", 0, 0)
DANGEROUS = {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_MKNOD", "CAP_SYS_MODULE"}


def test_root_gets_the_small_set_of_capabilities_and_no_new_privileges() -> None:
    process = config(ROOT, rootfs="/apps/a", cgroup="/carob/u/a")["process"]
    assert process["noNewPrivileges"] is True
    assert set(process["capabilities"]) == {"bounding", "effective", "permitted"}
    assert all(set(held) == set(DEFAULT) for held in process["capabilities"].values())
    assert not DANGEROUS & set(DEFAULT)


def test_another_user_holds_no_capability() -> None:
    process = config(Process(["a"], [], "/", 1000, 1000, (5,)), rootfs="/r", cgroup="/c")["process"]
    assert set(process["capabilities"]) == {"bounding"}
    assert process["user"] == {"uid": 1000, "gid": 1000, "additionalGids": [5]}


def test_each_app_has_pid_and_mount_namespaces_and_shares_the_others() -> None:
    document = config(ROOT, rootfs="/apps/a", cgroup="/carob/u/a")
    assert document["linux"]["namespaces"] == [{"type": "pid"}, {"type": "mount"}]
    assert "hostname" not in document


def test_system_files_are_hidden_and_sys_is_read_only() -> None:
    document = config(ROOT, rootfs="/apps/a", cgroup="/carob/u/a")
    assert "/proc/kcore" in document["linux"]["maskedPaths"]
    assert "/proc/sys" in document["linux"]["readonlyPaths"]
    (sys,) = [mount for mount in document["mounts"] if mount["destination"] == "/sys"]
    assert "ro" in sys["options"]


def test_volumes_are_private_binds() -> None:
    volumes = [
        Volume("/volumes/a-0", "/data", read_only=True, recursive=False),
        Volume("/volumes/a-1", "/more", read_only=False, recursive=True),
    ]
    mounts = config(ROOT, rootfs="/r", cgroup="/c", volumes=volumes)["mounts"][-2:]
    assert [mount["destination"] for mount in mounts] == ["/data", "/more"]
    assert mounts[0]["options"] == ["bind", "rprivate", "ro"]
    assert mounts[1]["options"] == ["rbind", "rprivate", "rw"]


def test_devices_are_filtered_where_that_is_possible() -> None:
    filtered = config(ROOT, rootfs="/r", cgroup="/c")["linux"]["resources"]
    assert filtered == {"devices": [{"allow": False, "access": "rwm"}]}
    assert config(ROOT, rootfs="/r", cgroup="/c", filter_devices=False)["linux"]["resources"] == {}


def test_the_text_has_the_filter_for_both_runtimes() -> None:
    document = config(
        ROOT, rootfs="/r", cgroup="/c", hooks={"poststop": []}, resources={"pids": {"limit": 9}}
    )
    found = usual("x86_64").filter
    assert found is not None
    written = json.loads(text(document, found))
    assert written["linux"]["seccomp"] == json.loads(found.section)
    assert written["annotations"] == {"run.oci.seccomp_bpf_data": found.program}
    del written["linux"]["seccomp"], written["annotations"]
    assert written == document == json.loads(text(document, None))
    assert written["linux"]["resources"] == {
        "devices": [{"allow": False, "access": "rwm"}],
        "pids": {"limit": 9},
    }


def test_a_namespace_of_somebody_else_is_named_by_its_path() -> None:
    document = config(ROOT, rootfs="/apps/x", cgroup="", namespaces=["pid=/run/pid_x", "mount"])
    assert document["linux"]["namespaces"] == [{"type": "pid", "path": "/run/pid_x"}, {"type": "mount"}]

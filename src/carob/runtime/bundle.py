"""The OCI runtime configuration of one app, as a value: pure, runtime-spec 1.0.

It holds no process id and no path of the host: the root file system and the volumes stand in
init's own root, and the namespaces that the apps of a pod share (network, IPC, host name) are not
listed, so that the runtime takes init's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

OCI_VERSION = "1.0.0"

# What an app may do as root inside: docker's and podman's set without NET_RAW, MKNOD and AUDIT_WRITE.
DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_MOUNTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
    "gid=5")), ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")), ("/dev/shm", "tmpfs",
    "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")), ("/sys", "sysfs", "sysfs", ("nosuid",
    "noexec", "nodev", "ro")),
)  # fmt: skip
_NO_DEVICES_BUT_THE_DEFAULT_ONES = {"allow": False, "access": "rwm"}


class Volume:
    """A mount of the app: ``source`` in init's root, ``target`` in the app."""

    __slots__ = ("read_only", "recursive", "source", "target")

    def __init__(self, source: str, target: str, *, read_only: bool, recursive: bool) -> None:
        self.source = source
        self.target = target
        self.read_only = read_only
        self.recursive = recursive


class Process:
    """What to run: ``args`` (not empty), ``env`` as ``KEY=value``, ``cwd``, and numeric ids."""

    __slots__ = ("args", "cwd", "env", "gid", "groups", "uid")

    def __init__(
        self,
        args: Sequence[str],
        env: Sequence[str],
        cwd: str,
        uid: int,
        gid: int,
        groups: Sequence[int] = (),
    ) -> None:
        self.args = tuple(args)
        self.env = tuple(env)
        self.cwd = cwd
        self.uid = uid
        self.gid = gid
        self.groups = tuple(groups)


def config(
    process: Process,
    *,
    rootfs: str,
    cgroup: str,
    volumes: Sequence[Volume] = (),
    read_only_rootfs: bool = False,
    filter_devices: bool = True,
) -> dict[str, Any]:
    """The ``config.json`` of an app with carob's default isolation.

    ``filter_devices`` limits devices by cgroup, besides: an app has no way to make device nodes.
    """
    return {
        "ociVersion": OCI_VERSION,
        "process": _process(process),
        "root": {"path": rootfs, "readonly": read_only_rootfs},
        "mounts": [_mount(*one) for one in _MOUNTS] + [_bind(volume) for volume in volumes],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": "pid"}, {"type": "mount"}],
            "resources": {"devices": [_NO_DEVICES_BUT_THE_DEFAULT_ONES]} if filter_devices else {},
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READ_ONLY),
        },
    }


def _process(process: Process) -> dict[str, Any]:
    user: dict[str, Any] = {"uid": process.uid, "gid": process.gid}
    if process.groups:
        user["additionalGids"] = list(process.groups)
    held = list(DEFAULT_CAPABILITIES)
    capabilities = {"bounding": held}
    if process.uid == 0:
        capabilities |= {"effective": held, "permitted": held}
    return {
        "terminal": False,
        "user": user,
        "args": list(process.args),
        "env": list(process.env),
        "cwd": process.cwd,
        "capabilities": capabilities,
        "noNewPrivileges": True,
    }


def _mount(target: str, kind: str, source: str, options: tuple[str, ...]) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def _bind(volume: Volume) -> dict[str, Any]:
    options = ["rbind" if volume.recursive else "bind", "rprivate", "ro" if volume.read_only else "rw"]
    return _mount(volume.target, "bind", volume.source, tuple(options))

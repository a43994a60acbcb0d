"""What confines an app, settled: all is looked up, ready to be written into its configuration. Pure."""

from __future__ import annotations

from carob.runtime.capabilities import DEFAULT
from carob.runtime.seccomp.default import usual as usual_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from carob.runtime.seccomp.default import Filter

MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/dev/block",
    "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux",
)  # fmt: skip
"""What tells of the host, its other users or its hardware, and what no app needs: it shows nothing."""
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""What would change the host."""


class Node:
    """A device node in an app's ``/dev`` (config-linux.md, "Devices").

    ``kind`` is ``"c"`` or ``"b"``; ``access`` is made of ``r``, ``w`` and ``m``; ``mode`` are permissions.
    """

    __slots__ = ("access", "gid", "kind", "major", "minor", "mode", "path", "uid")

    def __init__(
        self, path: str, kind: str, major: int, minor: int, *, access: str, mode: int, uid: int, gid: int
    ) -> None:
        self.path = path
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access
        self.mode = mode
        self.uid = uid
        self.gid = gid


class Confinement:
    """What an app may do, and what it sees of the host.

    - ``bounding``: capabilities that it can have at all; ``granted``: those that any user of it holds.
    - ``filter``: of system calls; ``None`` for none.
    - ``masked``, ``read_only``: paths that show nothing, or cannot be written.
    - ``writable_sys``: ``/sys`` can be written. ``every_device``: no device is filtered by cgroup.
    - ``limits``: by the names of setrlimit(2), soft and hard.
    - ``umask``, ``oom_score_adj``: as the kernel has them; ``None`` for the supervisor's, 0o022 and 0.
    - ``apparmor``, ``selinux``: a profile and a label, or ``""``.
    """

    __slots__ = (
        "apparmor", "bounding", "every_device", "filter", "granted", "limits", "masked",
        "no_new_privileges", "nodes", "oom_score_adj", "read_only", "read_only_rootfs", "selinux", "umask",
        "writable_sys",
    )  # fmt: skip

    def __init__(
        self,
        filter: Filter | None,  # noqa: A002 - what it is
        *,
        bounding: Sequence[str] = DEFAULT,
        granted: Sequence[str] = (),
        no_new_privileges: bool = True,
        read_only_rootfs: bool = False,
        masked: Sequence[str] = MASKED,
        read_only: Sequence[str] = READ_ONLY,
        writable_sys: bool = False,
        nodes: Sequence[Node] = (),
        every_device: bool = False,
        limits: Sequence[tuple[str, int, int]] = (),
        umask: int | None = None,
        oom_score_adj: int | None = None,
        apparmor: str = "",
        selinux: str = "",
    ) -> None:
        self.filter = filter
        self.bounding = tuple(bounding)
        self.granted = tuple(granted)
        self.no_new_privileges = no_new_privileges
        self.read_only_rootfs = read_only_rootfs
        self.masked = tuple(masked)
        self.read_only = tuple(read_only)
        self.writable_sys = writable_sys
        self.nodes = tuple(nodes)
        self.every_device = every_device
        self.limits = tuple(limits)
        self.umask = umask
        self.oom_score_adj = oom_score_adj
        self.apparmor = apparmor
        self.selinux = selinux


def usual(machine: str) -> Confinement:
    """What confines an app where nothing is said; ``machine`` as uname(2) has it."""
    return Confinement(usual_filter(machine))

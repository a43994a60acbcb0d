"""The processes of a running pod, as ps shows them."""

from __future__ import annotations

import os
import time

from carob.engine.observe import processes
from carob.errors import CarobError
from carob.linux.files import read_file
from carob.linux.process import stat_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.pod import Pod

_LONGEST_COMMAND_BYTES = 1 << 16
_LONGEST_PASSWD_BYTES = 1 << 20


class ProcessInfo:
    """One process: of which ``app``, and by which numbers it goes.

    ``pid`` is the host's number for it, ``pod_pid`` that of the pod's init, ``app_pid`` the app's own; all
    are good as long as it lives, and no longer. ``user`` is the name that the app's /etc/passwd gives to
    ``uid``, or that number, as the app sees it; ``host_uid`` is who that is on the host. ``state`` is as in
    proc_pid_stat(5). ``cpu_s`` is processor time, ``started_ns`` nanoseconds since 1970.
    """

    __slots__ = (
        "app", "app_pid", "command", "cpu_s", "host_uid", "memory_bytes", "pid", "pod_pid", "started_ns",
        "state", "uid", "user",
    )  # fmt: skip

    def __init__(self, app: str, pid: int) -> None:
        self.app = app
        self.pid = pid
        self.pod_pid = 0
        self.app_pid = 0
        self.uid = 0
        self.host_uid = 0
        self.user = ""
        self.state = ""
        self.cpu_s = 0.0
        self.memory_bytes = 0
        self.started_ns = 0
        self.command = ""

    def __repr__(self) -> str:
        return f"ProcessInfo({self.app!r}, pid={self.pid}, {self.command!r})"


def of_pod(pod: Pod, apps: Sequence[str]) -> list[ProcessInfo]:
    """The processes of these apps, an app's first one first. ``Conflict`` where the pod does not run."""
    depth = len(processes.namespace_pids(processes.init_pid(pod)))
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    found = []
    for app, pids in processes.by_app(pod, apps).items():
        names = _user_names(pids[0]) if pids else {}
        for pid in pids:
            info = _look(app, pid, depth, boot_ns)
            if info is not None:
                info.user = names.get(info.uid, str(info.uid))
                found.append(info)
    return found


def _look(app: str, pid: int, depth: int, boot_ns: int) -> ProcessInfo | None:
    """What /proc tells of a process; ``None`` where it has ended."""
    numbers, fields = processes.namespace_pids(pid), stat_fields(pid)
    if not fields or len(numbers) < depth:
        return None
    info = ProcessInfo(app, pid)
    info.pod_pid, info.app_pid = numbers[depth - 1], numbers[-1]
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    info.state = fields[0].decode()
    info.cpu_s = (int(fields[11]) + int(fields[12])) * tick_s
    info.started_ns = boot_ns + int(int(fields[19]) * tick_s * 1e9)
    info.memory_bytes = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    try:
        info.uid, info.host_uid = _uids(pid)
        info.command = _command(pid)
    except OSError:
        return None
    return info


def _uids(pid: int) -> tuple[int, int]:
    """The effective user, as the app and as the host sees it. The owner of the directory in /proc may be
    another.
    """
    from carob.engine.observe.owners import of_process

    for line in read_file(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"Uid:"):
            uid = int(line.split()[2])
            return of_process(pid).inside(uid, 0)[0], uid
    raise ProcessLookupError(f"process {pid} has ended")


def _command(pid: int) -> str:
    """Its words; of one that has none (a zombie) its name in brackets, as ps does."""
    try:
        fd = os.open(f"/proc/{pid}/cmdline", os.O_RDONLY | os.O_CLOEXEC)
        try:
            raw = os.read(fd, _LONGEST_COMMAND_BYTES)
        finally:
            os.close(fd)
    except OSError:
        raw = b""
    words = raw.rstrip(b"\0").replace(b"\0", b" ")
    if not words:
        words = b"[" + read_file(f"/proc/{pid}/comm").strip() + b"]"
    return words.decode("utf-8", "replace")


def _user_names(pid: int) -> dict[int, str]:
    """The names of users in the app's own /etc/passwd, which no link leads out of."""
    from carob.engine.copy import members, places

    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            directory = places.Files(root, "").open(b"/etc")
            try:
                fd = members.open_regular(directory, b"passwd")
            finally:
                os.close(directory)
        finally:
            os.close(root)
        with os.fdopen(fd, "rb") as file:
            lines = file.read(_LONGEST_PASSWD_BYTES).decode("utf-8", "replace").splitlines()
    except (OSError, CarobError):
        return {}
    found: dict[int, str] = {}
    for line in lines:
        fields = line.split(":")
        if len(fields) == 7 and fields[2].isdecimal() and len(fields[2]) <= 10:
            found.setdefault(int(fields[2]), fields[0])
    return found


def document(info: ProcessInfo) -> dict[str, Any]:
    """The process as a plain document."""
    return {name: getattr(info, name) for name in sorted(ProcessInfo.__slots__)}

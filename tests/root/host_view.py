"""A pod as the host's kernel and the pod's own files show it: nothing here asks carob's engine.

What a test holds against the engine's answers, and what takes pods away whatever a test has done to them.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE_S = 20.0
DIRECTORIES = ("embryo", "prepare", "prepared", "run", "exited-garbage", "garbage")


def eventually(what: str, look: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Return what `look` gives once that is true; fail where it does not become so."""
    deadline = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {patience_s} s: {what}"
        time.sleep(0.002)


def read(path: str | Path) -> str:
    """Return the content of a file; nothing where it is not there."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


# --- pods on disk ---------------------------------------------------------------------------------


def pod_directory(data_dir: str, uuid: str) -> Path:
    """Return where the pod is now."""
    for directory in DIRECTORIES:
        path = Path(data_dir, "pods", directory, uuid)
        if path.is_dir():
            return path
    raise FileNotFoundError(uuid)


def pod_directories(data_dir: str) -> list[Path]:
    """Return all pods' directories, whatever their state."""
    return sorted(Path(data_dir, "pods").glob("*/*"))


def keeper(directory: Path, which: str) -> int:
    """Return the pid of the pod's `init` or `monitor`."""
    return int(json.loads((directory / "carob/supervisor.json").read_text())[which]["pid"])


def keepers(directory: Path) -> Iterator[tuple[int, int]]:
    """Yield (pid, start tick) of what was written down as keeping the pod."""
    try:
        document = json.loads((directory / "carob/supervisor.json").read_text())
    except (OSError, ValueError):
        return
    for which in ("init", "monitor"):
        yield document[which]["pid"], document[which]["start_ticks"]


# --- processes ------------------------------------------------------------------------------------


def fields(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on; nothing where there is no such process."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def is_alive(pid: int) -> bool:
    """Say whether there is such a process and it has not ended."""
    found = fields(pid)
    return bool(found) and found[0] not in "ZX"


def pids() -> list[int]:
    """Return all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def namespace(pid: int, kind: str) -> str:
    """Return the identity of a namespace of the process; nothing where it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """Return the process and all below it."""
    found = [pid]
    for one in found:
        for task in read(f"/proc/{one}/task/{one}/children").split():
            found.append(int(task))
    return found


def kill_if(pid: int, start_ticks: int) -> None:
    """Kill the process if it is the one that began then, and wait until it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        found = fields(pid)
        if found and int(found[19]) == start_ticks:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [], PATIENCE_S)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def wait_gone(pid: int) -> None:
    """Return when the process has ended and, where it is PID 1 of a namespace, all in that as well."""
    eventually(f"process {pid} ends", lambda: not is_alive(pid))


def supervisors_of(data_dir: str) -> list[int]:
    """Return the processes whose errors go to a supervisor log below `data_dir`, or to one of no pod yet.

    Of the latter, those that are this test's, and those of which that cannot be told: for a moment before
    their pod runs, or before they end because their caller has.
    """
    return _of_callers(data_dir, {*descendants(os.getpid()), _DEAD, _UNKNOWN})


def own_supervisors_of(data_dir: str) -> list[int]:
    """Return the same without those of which that cannot be told: others may run tests beside this one."""
    return _of_callers(data_dir, set(descendants(os.getpid())))


_DEAD, _UNKNOWN = -1, 0


def _of_callers(data_dir: str, callers: set[int]) -> list[int]:
    with_pod, without = _supervisors()
    found = [pid for pid, log in with_pod.items() if log.startswith(data_dir + "/")]
    return found + [pid for pid in without if _caller_of(pid) in callers]


def _supervisors() -> tuple[dict[int, str], list[int]]:
    """Return all on this machine: those with a pod, by the path of their log, and those without."""
    with_pod, without = {}, []
    for pid in pids():
        try:
            log = os.readlink(f"/proc/{pid}/fd/2")
        except OSError:
            continue
        if log.startswith("/memfd:supervisor.log"):
            without.append(pid)
        elif "/carob/supervisor.log" in log:  # of a pod that is being removed it is "(deleted)"
            with_pod[pid] = log
    return with_pod, without


def _caller_of(pid: int) -> int:
    """Return whom a supervisor without a pod belongs to, by the pidfd that its monitor holds until then."""
    for one in (pid, int((fields(pid)[1:2] or ["0"])[0])):
        for line in read(f"/proc/{one}/fdinfo/4").splitlines():
            if line.startswith("Pid:"):
                return int(line.split()[1])
    return _UNKNOWN


# --- what a pod has outside its directory ---------------------------------------------------------


def cgroups(name: str) -> list[str]:
    """Return the cgroups, in any hierarchy, with a part of this name (a pod's uuid)."""
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if name in path.split("/")]


def cgroup_file(uuid: str, app: str, name: str, controller: str) -> Path:
    """Return a control file of an app's group: on a v1 host in the controller's own hierarchy."""
    for base in ("/sys/fs/cgroup", f"/sys/fs/cgroup/{controller}"):
        path = Path(base, "carob", uuid, app, name)
        if path.exists():
            return path
    raise FileNotFoundError(f"{name} of {uuid}/{app}")


def host_mounts(text: str) -> list[str]:
    """Return the lines of the host's mount table that have `text` in them."""
    return [line for line in read("/proc/1/mountinfo").splitlines() if text in line]


class Inside:
    """The PID namespaces of a running pod, noted while it runs, to look for processes in them later.

    They are held open, for the kernel gives the number of one that is gone to the next.
    """

    def __init__(self, init: int) -> None:
        self._held: list[int] = []
        self._names: set[str] = set()
        for pid in descendants(init):
            try:
                held = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
            except OSError:  # a process that just ended
                continue
            self._held.append(held)
            self._names.add(os.readlink(f"/proc/self/fd/{held}"))
        self._names.discard(namespace(1, "pid"))
        assert self._names

    def __del__(self) -> None:
        for held in self._held:
            os.close(held)

    def survivors(self) -> list[str]:
        """Return the processes that are still there."""
        return [
            f"{pid} {read(f'/proc/{pid}/comm').strip()}"
            for pid in pids()
            if is_alive(pid) and namespace(pid, "pid") in self._names
        ]


def nothing_left(data_dir: str, uuid: str, inside: Inside | None = None) -> None:
    """Fail unless the pod is gone with all it had."""
    left = [str(path) for path in pod_directories(data_dir) if path.name == uuid]
    left += host_mounts(uuid)
    left += cgroups(uuid)
    left += inside.survivors() if inside is not None else []
    assert left == []


# --- the end of a test ----------------------------------------------------------------------------


def end_all(data_dir: str) -> None:
    """Kill every process of every pod below `data_dir` and remove the pods' cgroups."""
    for directory in pod_directories(data_dir):
        for group in cgroups(directory.name):
            for below, _, _ in os.walk(group):
                _thaw(below)
    for pid in own_supervisors_of(data_dir):
        found = fields(pid)
        if found:
            kill_if(pid, int(found[19]))
    for directory in pod_directories(data_dir):
        for pid, start_ticks in keepers(directory):
            kill_if(pid, start_ticks)
        for group in cgroups(directory.name):
            for below, _, _ in os.walk(group, topdown=False):
                _remove_group(below)


def _thaw(group: str) -> None:
    """What is frozen on a v1 host does not die, whoever kills it."""
    try:
        Path(group, "freezer.state").write_text("THAWED")
    except OSError:
        return


def _kill_members(group: str) -> None:
    """Of a pod among the host's processes, which outlive its init; of any other there are none left."""
    for pid in read(f"{group}/cgroup.procs").split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue


def _remove_group(group: str) -> None:
    def is_removed() -> bool:
        _kill_members(group)
        try:
            os.rmdir(group)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    eventually(f"{group} is empty", is_removed)

"""What pods might leave behind on the host, looked at from outside: before, after, and the difference.

A snapshot holds, for each kind of thing, one line a thing. It asks the kernel alone and nothing of
carob, so it is an oracle: a leak that carob does not know of shows here all the same.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator

Snapshot = dict[str, frozenset[str]]

_OURS = re.compile(r"carob[/.]supervisor|coverage_launcher|(^|[/\0])(carob|crun|runc)(\0|$)")
_ELSEWHERE = re.compile(r"\.(service|scope|slice|mount|socket)(/|$)")


def take() -> Snapshot:
    """Return what is there now."""
    return {
        "mount": frozenset(_mounts()),
        "network namespace": frozenset(_network_namespaces()),
        "link": frozenset(_names("/sys/class/net")),
        "cgroup": frozenset(_cgroups()),
        "process": frozenset(_processes()),
        "lock": frozenset(_locks()),
        "temporary file": frozenset(_names(tempfile.gettempdir())),
    }


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    """Return one line for each thing that is new, and for each mount or link that has gone."""
    found = [f"new {kind}: {thing}" for kind in after for thing in sorted(after[kind] - before[kind])]
    for kind in ("mount", "link"):
        found += [f"lost {kind}: {thing}" for thing in sorted(before[kind] - after[kind])]
    return found


def since(before: Snapshot, *, patience_s: float = 5.0) -> list[str]:
    """Return the difference to now, waiting up to `patience_s` seconds for what is about to vanish."""
    return _settle(lambda: difference(before, take()), patience_s)


def _settle(look: Callable[[], list[str]], patience_s: float) -> list[str]:
    deadline = time.monotonic() + patience_s
    while True:
        found = look()
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def mounts_below(directory: str) -> list[str]:
    """Return the mount points of the host below `directory`: nothing there may be deleted recursively."""
    inside = directory.rstrip("/") + "/"
    return [point for _, point, _ in _mount_table() if (point + "/").startswith(inside)]


def _mount_table() -> Iterator[tuple[str, str, str]]:
    for line in _read("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        point = fields[4].encode().decode("unicode_escape")
        yield right.split(" ")[0], point, fields[3]


def _mounts() -> Iterator[str]:
    seen: dict[tuple[str, str, str], int] = {}
    for kind, point, origin in _mount_table():
        key = (kind, point, origin)
        seen[key] = seen.get(key, 0) + 1
        yield f"{kind} at {point} of {origin} ({seen[key]})"


def _pids() -> Iterator[str]:
    return (name for name in os.listdir("/proc") if name.isdigit())


def _network_namespaces() -> Iterator[str]:
    for pid in _pids():
        try:
            yield os.readlink(f"/proc/{pid}/ns/net")
        except OSError:  # gone meanwhile, or a zombie, or another user's
            continue
    yield from _names("/run/netns")


def _names(directory: str) -> list[str]:
    try:
        return [f"{directory}/{name}" for name in os.listdir(directory)]
    except OSError:
        return []


def _cgroups() -> Iterator[str]:
    for directory, _, _ in os.walk("/sys/fs/cgroup"):
        # A service manager's own groups come and go by themselves.
        if "carob" in directory or not _ELSEWHERE.search(directory):
            yield directory


def _processes() -> Iterator[str]:
    """Yield the processes that can belong to a pod, by their command or by a PID namespace not ours."""
    ours = os.readlink("/proc/self/ns/pid")
    for pid in _pids():
        command = _read(f"/proc/{pid}/cmdline")
        try:
            elsewhere = os.readlink(f"/proc/{pid}/ns/pid") != ours
        except OSError:
            elsewhere = False
        stat = _read(f"/proc/{pid}/stat")
        if not stat or not (elsewhere or _OURS.search(command)):
            continue
        comm, _, rest = stat.partition("(")[2].rpartition(")")
        fields = rest.split()
        shown = command.replace("\0", " ").strip()[:120]
        yield f"{pid} ({comm}, started at tick {fields[19]}, state {fields[0]}) {shown}"


def _locks() -> Iterator[str]:
    for line in _read("/proc/locks").splitlines():
        fields = line.split()
        if "->" not in fields and fields[1] == "FLOCK":
            yield f"{fields[3]} on {fields[5]} by {fields[4]} ({_read(f'/proc/{fields[4]}/comm').strip()})"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


# --- of this process alone ------------------------------------------------------------------------


def descriptors() -> dict[int, str]:
    """Return the open descriptors of this process and what each leads to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the listing's own
            continue
    return found


def children() -> dict[int, str]:
    """Return the children of this process, zombies included, and the command of each."""
    me = str(os.getpid())
    found = {}
    for pid in _pids():
        stat = _read(f"/proc/{pid}/stat")
        fields = stat.rpartition(")")[2].split()
        if len(fields) < 2 or fields[1] != me:
            continue
        command = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
        found[int(pid)] = "zombie" if fields[0] == "Z" else command or stat
    return found

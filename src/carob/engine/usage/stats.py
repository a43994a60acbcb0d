"""What pods use of their host: processor, memory, processes, block devices, network."""

from __future__ import annotations

import os
import select
import time

from carob.engine.failures import is_shortage
from carob.engine.observe import status
from carob.engine.observe.keeper import keepers
from carob.engine.observe.plan import read_plan
from carob.engine.request import inputs
from carob.errors import CarobError, Conflict
from carob.linux import cgroup_usage
from carob.linux.cgroup_usage import Usage as Usage  # noqa: PLC0414 - shown by carob.cli
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from carob.pod import Pod

_SHORTEST_S = 0.01
_LONGEST_S = 86400.0


class Traffic:
    """Bytes that one network interface of a pod has received and sent."""

    __slots__ = ("received_bytes", "sent_bytes")

    def __init__(self, received_bytes: int, sent_bytes: int) -> None:
        self.received_bytes = received_bytes
        self.sent_bytes = sent_bytes

    def __repr__(self) -> str:
        return f"Traffic(received_bytes={self.received_bytes}, sent_bytes={self.sent_bytes})"


class PodStats:
    """One look at a running pod: ``total`` and, by name, ``apps`` (those that run).

    ``cpu_percent`` is of one processor, by app, with the pod's under ``""``: since the look before, at the
    first since the pod's start. ``network`` is by interface, without the loopback; ``None`` where the pod has
    the host's. ``time_ns`` is in nanoseconds since 1970. ``is_summed`` says that there is no control group,
    and that the figures are those of its processes, added up: shared memory counts in each of them.
    """

    __slots__ = ("apps", "cpu_percent", "is_summed", "name", "network", "time_ns", "total", "uuid")

    def __init__(
        self,
        uuid: str,
        name: str,
        time_ns: int,
        total: Usage,
        apps: dict[str, Usage],
        network: dict[str, Traffic] | None,
        *,
        is_summed: bool = False,
    ) -> None:
        self.uuid = uuid
        self.name = name
        self.time_ns = time_ns
        self.total = total
        self.apps = apps
        self.network = network
        self.is_summed = is_summed
        self.cpu_percent: dict[str, float] = {}

    def tell_cpu_since(self, before: PodStats) -> None:
        """Has ``cpu_percent`` be of the time since another look at the same pod."""
        self.cpu_percent = _cpu_percent(self, _cpu_ns(before), before.time_ns)

    def __repr__(self) -> str:
        return f"PodStats({self.uuid!r}, total={self.total!r})"


def _cpu_ns(stats: PodStats) -> dict[str, int]:
    """The processor time of the pod, under ``""``, and of each app."""
    usages = {"": stats.total, **stats.apps}
    return {name: usage.cpu_ns for name, usage in usages.items() if usage.cpu_ns is not None}


def _cpu_percent(stats: PodStats, before: dict[str, int], then_ns: int) -> dict[str, float]:
    passed_ns = max(1, stats.time_ns - then_ns)
    return {
        name: max(0.0, (used - before.get(name, 0)) * 100 / passed_ns)
        for name, used in _cpu_ns(stats).items()
    }


class Sampler:
    """Looks at one pod, time after time. The pod is the caller's to close."""

    __slots__ = ("_before", "_group", "_has_network", "_init", "_names", "_pod", "_started_ns")

    def __init__(self, pod: Pod) -> None:
        """Raises ``Conflict`` where the pod does not run."""
        init, _ = keepers(pod)
        self._init = None if init is None else init.open()
        if init is None or self._init is None:
            raise Conflict(f"pod {pod.uuid} does not run", hint="what it used is not kept")
        self._pod = pod
        plan = read_plan(pod)
        self._group = str(plan["cgroup"])
        self._has_network = plan["network"] != "host"
        self._names = (status.manifest_summary(pod)[0], init.pid)
        self._started_ns = pod.start_time_ns() or time.time_ns()
        self._before: PodStats | None = None

    def look(self) -> PodStats | None:
        """What is used now; ``None`` once the pod has ended."""
        name, init = self._names
        total, found = self._read(init, status.app_names(self._pod))
        apps = {app: used for app, used in found.items() if used is not None}
        network = _traffic(init) if self._has_network else None
        if self._ended(0):
            return None
        seen = PodStats(
            str(self._pod.uuid), name, time.time_ns(), total or Usage(), apps, network,
            is_summed=not self._group,
        )  # fmt: skip
        if self._before is None:
            seen.cpu_percent = _cpu_percent(seen, {}, self._started_ns)
        else:
            seen.tell_cpu_since(self._before)
        self._before = seen
        return seen

    def _read(self, init: int, apps: Sequence[str]) -> tuple[Usage | None, dict[str, Usage | None]]:
        if self._group:
            read = cgroup_usage.read
            return read(self._group), {app: read(f"{self._group}/{app}") for app in apps}
        from carob.engine.usage import summed

        return summed.of_pod(init), {app: summed.of_app(init, app) for app in apps}

    def wait(self, interval_s: float) -> bool:
        """Waits that long; False, at once, where the pod ends."""
        return not self._ended(interval_s)

    def fileno(self) -> int:
        """What becomes readable when the pod ends."""
        assert self._init is not None
        return self._init

    def _ended(self, timeout_s: float) -> bool:
        waiting = select.poll()
        waiting.register(self.fileno(), select.POLLIN)
        return bool(waiting.poll(timeout_s * 1000))

    def close(self) -> None:
        """Lets go of the pod's init."""
        if self._init is not None:
            os.close(self._init)
            self._init = None


def checked_interval_s(interval_s: float) -> float:
    """A number of seconds between two looks. Raises ``InvalidInput``."""
    return max(_SHORTEST_S, inputs.seconds(interval_s, "interval_s", _LONGEST_S))


def one(pod: Pod) -> PodStats:
    """What a running pod uses. Raises ``Conflict`` where it does not run."""
    sampler = Sampler(pod)
    try:
        found = sampler.look()
    finally:
        sampler.close()
    if found is None:
        raise Conflict(f"pod {pod.uuid} ended meanwhile")
    return found


def stream(pod: Pod, interval_s: float) -> Iterator[PodStats]:
    """One look after the other, until the pod ends."""
    sampler = Sampler(pod)
    try:
        while (found := sampler.look()) is not None:
            yield found
            if not sampler.wait(interval_s):
                return
    finally:
        sampler.close()


def of_all(data_dir: str) -> list[PodStats]:
    """What each running pod of a data directory uses, in order of uuid."""
    from carob.pod import INCLUDE_RUN_DIR, BrokenPod, pods

    found = []
    for pod in pods(data_dir, INCLUDE_RUN_DIR):
        if isinstance(pod, BrokenPod):
            continue
        try:
            found.append(one(pod))
        except (CarobError, OSError) as error:
            if is_shortage(error):
                raise
            continue  # it has ended, or is not this user's
    return found


def _traffic(pid: int) -> dict[str, Traffic]:
    """``/proc/<pid>/net/dev`` (proc_pid_net(5))."""
    try:
        lines = read_file(f"/proc/{pid}/net/dev").decode("ascii", "replace").splitlines()[2:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        if name.strip() != "lo" and len(fields) >= 9:
            found[name.strip()] = Traffic(int(fields[0]), int(fields[8]))
    return found


def document(stats: PodStats) -> dict[str, Any]:
    """The stats as a plain document; ``cpu_percent`` beside what each has used."""
    network = stats.network
    return {
        "uuid": stats.uuid,
        "name": stats.name,
        "time_ns": stats.time_ns,
        "is_summed": stats.is_summed,
        **_usage_document(stats.total, stats.cpu_percent.get("")),
        "network": None if network is None else {
            name: {"received_bytes": one.received_bytes, "sent_bytes": one.sent_bytes}
            for name, one in network.items()
        },
        "apps": {
            name: _usage_document(usage, stats.cpu_percent.get(name)) for name, usage in stats.apps.items()
        },
    }  # fmt: skip


def _usage_document(usage: Usage, cpu_percent: float | None) -> dict[str, Any]:
    figures = {name: getattr(usage, name) for name in Usage.__slots__}
    return {"cpu_percent": None if cpu_percent is None else round(cpu_percent, 2), **figures}

"""What a pod without a control group uses: the kernel's figures of its processes, summed.

What has ended counts as far as a parent that lives took note of it. Memory that processes share counts in
each of them, and the page cache in none.
"""

from __future__ import annotations

import os

from carob.engine.observe import processes
from carob.linux.cgroup_usage import Usage
from carob.linux.process import stat_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def of_pod(init: int) -> Usage:
    """All that descends from a pod's init, with init itself."""
    return _sum(processes.descendants(init))


def of_app(init: int, app: str) -> Usage | None:
    """What descends from the app's first process; ``None`` where it does not run."""
    first = processes.first_of(init, app)
    return None if first is None else _sum(processes.descendants(first))


def _sum(pids: Iterable[int]) -> Usage:
    ticks = pages = threads = 0
    for pid in pids:
        fields = stat_fields(pid)
        if fields:  # of those from the third on (proc_pid_stat(5)): utime to cstime, num_threads, rss
            ticks += sum(map(int, fields[11:15]))
            threads += int(fields[17])
            pages += int(fields[21])
    usage = Usage()
    usage.cpu_ns = ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    usage.memory_bytes = usage.working_set_bytes = pages * os.sysconf("SC_PAGE_SIZE")
    usage.pids = threads
    return usage

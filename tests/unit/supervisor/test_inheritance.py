"""A process that was limited, niced and pinned by who started it has a machine's defaults afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.architecture.sources import SRC

PROGRAM = """
import json, os, resource, sys
os.nice(5)
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
with open("/proc/self/oom_score_adj", "w") as file:
    file.write("300")
for name in ("NOFILE", "CORE", "FSIZE", "STACK", "NPROC", "CPU", "SIGPENDING", "MSGQUEUE"):
    number = getattr(resource, "RLIMIT_" + name)
    _, hard = resource.getrlimit(number)
    resource.setrlimit(number, (700_000 if name == "STACK" else 77, hard))
resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, 8192))
sys.path.append(sys.argv[1])
from carob.supervisor import inheritance
inheritance.leave()
print(json.dumps({
    "nice": os.getpriority(os.PRIO_PROCESS, 0),
    "policy": os.sched_getscheduler(0),
    "processors": sorted(os.sched_getaffinity(0)),
    "oom": open("/proc/self/oom_score_adj").read(),
    "limits": [resource.getrlimit(number) for number in range(16)],
}))
"""
NOFILE, MEMLOCK, STACK, CORE, NPROC = 7, 8, 3, 4, 6


def test_what_was_inherited_is_left_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(SRC)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["policy"] == os.SCHED_OTHER
    assert said["processors"] == sorted(os.sched_getaffinity(1))
    assert said["oom"] == "0\n"
    if os.geteuid() == 0:
        assert said["nice"] == 0
    limits = [tuple(one) for one in said["limits"]]
    assert limits[NOFILE][0] == min(1024, limits[NOFILE][1])
    assert limits[CORE][0] == 0
    assert limits[STACK][0] == 8 << 20
    assert limits[MEMLOCK] in ((8 << 20, 8 << 20), (8192, 8192)), "as much as the hard limit leaves"
    with open("/proc/sys/kernel/threads-max") as file:
        threads = int(file.read()) // 2
    assert limits[NPROC][0] == min(threads, limits[NPROC][1] if limits[NPROC][1] >= 0 else threads)
    for unlimited in (0, 1):
        assert limits[unlimited][0] == limits[unlimited][1]

"""Runs commands on request and times them: a small process, so that starting one from it is cheap.

Started as ``python -m bench.spawn_worker [private]``. It reads one JSON document a line from standard input,
``{"commands": [[argv…]…], "environment": {…}, "await_stragglers": …, "measure_memory": …}``, starts the
commands, waits for them all, and writes one line:
``{"ms": …, "statuses": […], "output": …, "peak_bytes": …}``. If ``private`` it is in a mount namespace of its
own and may mount there; on hybrid hosts it lets go of the cgroup v2 hierarchy, which crun would refuse.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from bench import process_memory
from carob.linux.namespaces import set_child_subreaper

_UNIFIED = "/sys/fs/cgroup/unified"
_STRAGGLERS_S = 20.0


def main(private: bool) -> None:
    # Whatever a command leaves running (podman's conmon and its clean-up) becomes a child of this process and
    # is waited for before the next command.
    set_child_subreaper()
    if private and os.path.exists(f"{_UNIFIED}/cgroup.procs"):
        subprocess.run(["umount", _UNIFIED], check=True)
    with tempfile.TemporaryFile() as output:
        for line in sys.stdin:
            request = json.loads(line)
            wait = process_memory.wait if request["measure_memory"] else _wait
            answer = _run(request["commands"], request["environment"], output.fileno(), wait)
            if request["await_stragglers"]:
                _await_stragglers()
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


def _run(
    commands: list[list[str]],
    environment: dict[str, str],
    output: int,
    wait: Callable[[list[int]], tuple[list[int], int]],
) -> dict[str, object]:
    os.ftruncate(output, 0)
    os.lseek(output, 0, os.SEEK_SET)
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    start = time.perf_counter()
    pids = [os.posix_spawnp(argv[0], argv, environment, file_actions=streams) for argv in commands]
    statuses, peak_bytes = wait(pids)
    ms = (time.perf_counter() - start) * 1e3
    os.lseek(output, 0, os.SEEK_SET)
    words = os.read(output, 65536).decode("utf-8", "replace")
    return {"ms": ms, "statuses": statuses, "output": words, "peak_bytes": peak_bytes}


def _wait(pids: list[int]) -> tuple[list[int], int]:
    """The exit statuses; memory is not looked at."""
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids], 0


def _await_stragglers() -> None:
    end = time.monotonic() + _STRAGGLERS_S
    while time.monotonic() < end:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.0005)
        except ChildProcessError:
            return


if __name__ == "__main__":
    main("private" in sys.argv[1:])

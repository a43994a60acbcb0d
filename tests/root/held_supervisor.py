"""Runs a supervisor whose init has a slow disk: held_supervisor.py PROGRAM ARGUMENT…

As long as there is a file ``carob/hold`` in the pod's directory, init's waits for the disk last, but for as
many as the file says; the number of those that have begun is in ``carob/waits``.
"""

from __future__ import annotations

import os
import sys
import time

_POD = "/pod/carob"  # in init's own root, and nowhere else


def free() -> float:
    try:
        with open(f"{_POD}/hold") as file:
            return int(file.read() or 0)
    except FileNotFoundError:
        return float("inf")


def main() -> None:
    program = sys.argv[1]
    sys.argv = ["-c", *sys.argv[2:]]
    fsync = os.fsync
    waits = 0

    def slow(descriptor: int) -> None:
        nonlocal waits
        waits += 1
        if os.path.isdir(_POD):
            with open(f"{_POD}/waits", "w") as file:
                file.write(str(waits))
        while waits > free():
            time.sleep(0.002)
        fsync(descriptor)

    os.fsync = slow
    exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})


main()

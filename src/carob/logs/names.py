"""The names of the files that one log is made of: those rotated away, oldest first, and the one written to.

A rotated file has the log's name with the time of its rotation after it, ``web.log.20161006-001709``, as
Kubernetes names them, and a later one of the same second a number more, ``….000001``. So they sort by
name, and a name is never another file's later. The oldest go first. Lean, because the pod's init loads it.
"""

from __future__ import annotations

import os

_DIGITS = frozenset("0123456789")
_STAMP = len("20161006-001709")


def is_rotated(name: str, log: str) -> bool:
    """Whether a file's name is that of a rotated file of this log."""
    if not name.startswith(log + "."):
        return False
    stamp, _, number = name[len(log) + 1 :].partition(".")
    day, dash, time = stamp.partition("-")
    return (
        len(stamp) == _STAMP
        and len(day) == 8
        and dash == "-"
        and _DIGITS.issuperset(day + time)
        and (not number or (len(number) == 6 and _DIGITS.issuperset(number)))
    )


def rotated(dir_fd: int, log: str) -> list[str]:
    """The names of the log's rotated files, oldest first."""
    return sorted(name for name in os.listdir(dir_fd) if is_rotated(name, log))

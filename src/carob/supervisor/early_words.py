"""What a supervisor says before it has a pod: kept in memory, and put into the pod's log later.

Standard output and error are a file in memory that the caller made and can read (``launch``); from
``hand_over`` or ``follow`` on they are the pod's ``carob/supervisor.log``.
"""

from __future__ import annotations

import os

from carob.protocol import plan as plans
from carob.supervisor.journal import note_failure


def hand_over(pod: int) -> None:
    """Moves on to the log of the pod behind descriptor ``pod``, with what was said so far."""
    early = os.dup(1)
    follow(pod)
    size = os.fstat(early).st_size
    if size:
        os.write(1, os.pread(early, size, 0))
    os.close(early)


def follow(pod: int) -> None:
    """Moves on to that log; what was said so far is the other process's to hand over."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        log = os.open(plans.SUPERVISOR_LOG, flags, 0o640, dir_fd=pod)
    except OSError as error:  # a full disk: the pod can do without its log
        note_failure("opening the supervisor log", error)
        return
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)

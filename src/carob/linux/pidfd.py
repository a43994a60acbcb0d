"""Processes by descriptor (pidfd_open(2)): a pidfd never comes to mean another process."""

from __future__ import annotations

import os
import select

from carob.linux.syscall import SYS_PIDFD_SEND_SIGNAL, syscall


def open_pidfd(pid: int) -> int | None:
    """A descriptor of the process, readable once it has ended; ``None`` if there is no such process.

    A descriptor of the first process of a PID namespace is readable when the namespace is empty.
    Raises other ``OSError``s, EMFILE among them.
    """
    if pid <= 0:
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        if error.errno == 22:  # EINVAL: the number is a thread's, so not the process it was
            return None
        raise


def has_ended(pidfd: int) -> bool:
    """Whether the process has ended, waited for by its parent or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def send_signal(pidfd: int, signal: int) -> bool:
    """Sends the signal; ``False`` where the process has ended (pidfd_send_signal(2))."""
    try:
        syscall(SYS_PIDFD_SEND_SIGNAL, pidfd, signal, None, 0)
    except ProcessLookupError:
        return False
    return True

"""Where a pod's apps wait until it is attached to its networks, as init keeps it.

A line in the FIFO lets one runtime pass. Once all may pass there is a file with a line in its place, for apps
that are started later.
"""

from __future__ import annotations

import os

from carob.protocol.pod_network import GATE

_LINES = b"\n" * 4096  # more than runtimes can be waiting, and no more than a FIFO holds


class Gate:
    """The gate, in init's own root: ``is_shut`` from ``shut`` to ``open``."""

    __slots__ = ("_fifo", "is_shut")

    def __init__(self) -> None:
        self._fifo = -1
        self.is_shut = False

    def shut(self) -> None:
        """Makes whoever comes wait."""
        os.mkfifo(GATE, 0o600)
        # Kept open: who has found the FIFO must be able to read its line, however late.
        self._fifo = os.open(GATE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.is_shut = True

    def open(self) -> None:
        """Lets all pass, those who wait and those to come."""
        self.is_shut = False
        opened = f"{GATE}.open"
        fd = os.open(opened, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(fd, b"\n")
        os.close(fd)
        os.rename(opened, GATE)
        os.write(self._fifo, _LINES)

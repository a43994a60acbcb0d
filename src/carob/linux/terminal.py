"""Terminals by their master: ioctl_tty(2)."""

from __future__ import annotations

import fcntl
import sys
import termios


def set_size(descriptor: int, rows: int, columns: int) -> None:
    """Gives a terminal a size in characters; whoever is in its foreground gets SIGWINCH. ``OSError``."""
    packed = b"".join([number.to_bytes(2, sys.byteorder) for number in (rows, columns, 0, 0)])
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, packed)

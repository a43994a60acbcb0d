"""Which streams an exec or attach has: what was asked for, checked."""

from __future__ import annotations

from carob.errors import InvalidInput


class Wanted:
    """The streams of an exec or attach."""

    __slots__ = ("stderr", "stdin", "stdout", "tty")

    def __init__(self, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> None:
        """Raises ``InvalidInput`` for none at all, and for a terminal with an error stream of its own."""
        if tty and stderr:
            raise InvalidInput("a terminal has one output: tty and stderr cannot both be asked for")
        if not (stdin or stdout or stderr):
            raise InvalidInput("none of stdin, stdout and stderr is asked for")
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.tty = tty

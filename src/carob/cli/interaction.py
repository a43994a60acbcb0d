"""The caller's standard input and terminal, given to an app of a pod while its output is passed on."""

from __future__ import annotations

import _signal
import _thread
import os
from select import POLLIN, poll

from carob.cli.foreground import Detached
from carob.cli.options import UsageError
from carob.cli.relay import Terminal
from carob.errors import CarobError, Conflict, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from carob.engine.handle import PodHandle
    from carob.engine.steer.attachment import Attachment

_STDIN = 0
_CHUNK_BYTES = 65536
_SIGUSR1 = 10
_CONTROLS = "@abcdefghijklmnopqrstuvwxyz[\\]^_"


class Interaction:
    """Which ``app`` of a pod is to have standard input, and whether as a terminal (``tty``)."""

    __slots__ = ("app", "tty")

    def __init__(self, app: str, *, tty: bool) -> None:
        """Raises ``UsageError`` for a terminal where there is none here."""
        self.app = app
        self.tty = tty
        if tty and not os.isatty(_STDIN):
            raise UsageError(
                "--tty: standard input is no terminal", hint="use --interactive, or --detach and carob attach"
            )


class DetachKeys:
    """Finds a sequence of keys in what is typed: ``ctrl-p,ctrl-q``, as other engines write it."""

    def __init__(self, text: str) -> None:
        """Raises ``UsageError``."""
        self._keys = bytes([_key(part) for part in text.split(",")])
        self._held = b""

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """What of it is for the app, and whether the sequence is complete; a beginning of it is kept back."""
        out = b""
        for at in range(len(data)):
            self._held += data[at : at + 1]
            while not self._keys.startswith(self._held):
                out += self._held[:1]
                self._held = self._held[1:]
            if self._held == self._keys:
                return out, True
        return out, False


def _key(text: str) -> int:
    letter = text.removeprefix("ctrl-")
    if letter != text and len(letter) == 1 and letter in _CONTROLS:
        return _CONTROLS.index(letter)
    if len(text) == 1 and text.isascii():
        return ord(text)
    raise UsageError(f"--detach-keys: {text!r} is no key", hint="such as ctrl-p,ctrl-q")


class Session:
    """In a ``with`` block: a thread passes standard input on to the app, which has this terminal as its own.

    With ``once`` the end of standard input is that of the app's. The keys raise ``Detached`` in the main
    thread; ``ends`` is that of ``Terminal``. An app that has ended meanwhile is fine.
    """

    def __init__(
        self, handle: PodHandle, interaction: Interaction, *, once: bool, keys: DetachKeys, ends: bool = False
    ) -> None:
        self._handle = handle
        self._interaction = interaction
        self._once = once
        self._ends = ends
        self._keys = keys if interaction.tty else None
        self._attachment: Attachment | None = None
        self._terminal: Terminal | None = None
        self._before: Any = None

    def __enter__(self) -> Session:
        try:
            self._attachment = self._handle.attach(app=self._interaction.app, once=self._once)
        except (Conflict, Unavailable):
            return self  # it has ended already
        if self._interaction.tty:
            self._terminal = Terminal(self._attachment.fileno(), ends=self._ends)
            self._terminal.__enter__()
        self._before = _signal.signal(_SIGUSR1, _raise_detached)
        _thread.start_new_thread(self._feed, (self._attachment, _thread.get_ident()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            _signal.signal(_SIGUSR1, self._before)
        if self._terminal is not None:
            self._terminal.__exit__(kind, error, trace)

    def _feed(self, attachment: Attachment, main: int) -> None:
        try:
            while data := _read_input():
                leaves = False
                if self._keys is not None:
                    data, leaves = self._keys.take(data)
                attachment.write(data)
                if self._terminal is not None:
                    self._terminal.master = attachment.fileno()  # another one since the app was restarted
                if leaves:
                    _signal.pthread_kill(main, _SIGUSR1)
                    return
        except (CarobError, OSError):
            return  # the app is over, which the main thread is about to see
        attachment.close()


def _read_input() -> bytes:
    while True:
        try:
            return os.read(_STDIN, _CHUNK_BYTES)
        except BlockingIOError:  # somebody else's non-blocking pipe
            waiting = poll()
            waiting.register(_STDIN, POLLIN)
            waiting.poll()
        except OSError:
            return b""


def _raise_detached(number: int, frame: object) -> None:
    raise Detached

"""Whose turn it is to download a blob: one at a time, among all threads and all processes.

A turn is an exclusive flock on a fifo, which its holder also has open for writing. Who waits has it open for
reading and polls: the kernel reports a hang-up when the last writer is gone, be it killed. So waiting takes
no timer, can be called off, and cannot outlive who is waited for; a blocking flock could not be called off.

The holder removes the fifo at the end. Who gets the lock of a removed fifo has not got the turn.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat

from carob.errors import CorruptData
from carob.image.cancel import Cancellation
from carob.image.files.locks import Lock, open_for_lock


class Turn:
    """The turn, until ``close`` (or the end of the ``with`` block)."""

    def __init__(self, path: str, held: Lock) -> None:
        self._path = path
        self._held = held

    def close(self) -> None:
        """Lets the next one have its turn; a second call does nothing."""
        if self._held.fd < 0:
            return
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        self._held.close()

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def try_turn(path: str) -> Turn | None:
    """Takes the turn that the fifo at ``path`` stands for; ``None`` where another has it."""
    while True:
        held = _open_fifo(path)
        try:
            fcntl.flock(held.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if held.is_at(path):
                return Turn(path, held)
        except BlockingIOError:
            held.close()
            return None
        except BaseException:
            held.close()
            raise
        held.close()


def wait_for_turn(path: str, cancel: Cancellation) -> None:
    """Waits until whoever has the turn now lets it go or dies; raises ``Cancelled``.

    It may return sooner: look, and wait again.
    """
    woken, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        with cancel.calls(lambda: os.write(waker, b"x")):
            try:
                # Opened for writing first: a reader sees the hang-up of writers that came before it only
                # if there was one when it came.
                writer = open_for_lock(path, os.O_RDWR)
            except FileNotFoundError:
                return
            try:
                reader = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                return
            finally:
                writer.close()
            try:
                _poll(reader, woken)
            finally:
                os.close(reader)
    finally:
        os.close(woken)
        os.close(waker)
    cancel.check()


def _poll(reader: int, woken: int) -> None:
    waiting = select.poll()
    waiting.register(reader, 0)  # a hang-up is always reported
    waiting.register(woken, select.POLLIN)
    waiting.poll()


def _open_fifo(path: str) -> Lock:
    while True:
        try:
            os.mkfifo(path, 0o600)
        except FileExistsError:
            pass
        try:
            held = open_for_lock(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        if stat.S_ISFIFO(os.fstat(held.fd).st_mode):
            return held
        held.close()
        raise CorruptData(f"{path} is in the way of a download", hint=f"remove it: rm {path}")

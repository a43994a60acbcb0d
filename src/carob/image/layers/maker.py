"""Making the files of one layer out of pieces of its tar: in a thread beside the one that decompresses.

Both spend nearly all their time in calls that let go of the GIL, so they do run side by side.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue

from carob.image.layers.recorder import Recorder
from carob.image.layers.unpack import LayerUnpacker
from carob.image.tar.reader import TarReader
from carob.linux.syscall import SYS_UNSHARE, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.image.layers.mode import UnpackMode
    from carob.image.layers.unsettled import Unsettled
    from carob.image.tar.limits import Allowance

_PIECES_AHEAD = 4
_CLONE_FS = 0x200


class Making:
    """What is to be made of one layer: its name for errors, the empty directory for its files, the file for
    its record, and what of its limits is left.
    """

    __slots__ = ("allowance", "record", "target", "what")

    def __init__(self, what: str, target: str, record: str, allowance: Allowance) -> None:
        self.what = what
        self.target = target
        self.record = record
        self.allowance = allowance


def make_files(
    making: Making, next_piece: Callable[[], bytes], mode: UnpackMode, *, has_no_umask: bool
) -> Unsettled:
    """Makes the files; ``next_piece`` returns the pieces of the tar, nothing only at its end."""
    recorder = Recorder(making.record, mode.form)
    limits = making.allowance.limits
    try:
        reader = TarReader(next_piece, making.what, limits=limits)
        with LayerUnpacker(
            making.target,
            making.what,
            recorder=recorder,
            mode=mode,
            limits=limits,
            allowance=making.allowance,
            has_no_umask=has_no_umask,
        ) as unpacker:
            for entry in reader:
                unpacker.apply(entry, reader.data())
            return unpacker.finish()
    finally:
        recorder.close()


class ThreadMaker:
    """A thread that makes the files of one layer."""

    def __init__(self, making: Making, mode: UnpackMode) -> None:
        self._making = making
        self._mode = mode
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()  # None: something failed
        self._places: SimpleQueue[bool] = SimpleQueue()  # a true one for each piece that may wait
        for _ in range(_PIECES_AHEAD):
            self._places.put(True)
        self._unsettled: Unsettled | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="carob-unpack")
        self._thread.start()

    def take(self, piece: bytes) -> bool:
        """Hands a piece over; false where no more is wanted."""
        if not self._places.get():
            return False
        self._pieces.put(piece)
        return True

    def finish(self) -> Unsettled:
        """Waits for the files, after the last piece; raises what went wrong."""
        self._pieces.put(b"")
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._unsettled is not None
        return self._unsettled

    def stop(self) -> None:
        """Ends the thread where it is, if it has not ended."""
        self._pieces.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._unsettled = make_files(
                self._making, self._next_piece, self._mode, has_no_umask=_drop_umask()
            )
        except BaseException as error:  # noqa: BLE001 - raised in the other thread
            self._error = error
        finally:
            self._places.put(False)

    def _next_piece(self) -> bytes:
        piece = self._pieces.get()
        if piece is None:
            raise _Stopped
        self._places.put(True)
        return piece


class _Stopped(Exception):
    """The other thread failed: nothing more comes."""


def _drop_umask() -> bool:
    """Takes the umask, and with it the working directory, of this thread away from the other threads, and
    clears it; whether that is allowed. It saves a system call a file.
    """
    try:
        syscall(SYS_UNSHARE, _CLONE_FS)
    except OSError:
        return False
    os.umask(0)
    return True

"""Taking one blob in: once however many threads and processes ask, checked as it passes, and resumed.

::

    <layout>/.tmp/<hex>.turn       a fifo: whose turn it is (``carob.image.fetch.turn``)
    <layout>/.tmp/<hex>.partial    the bytes so far; a shared lock on it, as on every blob that no index
                                   names yet, until the index is written

A partial file is kept when a download ends early, unless its bytes are wrong or the disk is full; the next
one reads it again, for the hash, and asks for the rest. Nothing is fsynced before the blob is whole: after a
power loss the part may be rubbish, and then the digest at the end is wrong and all is downloaded once more.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable

from carob.errors import CorruptData, Unavailable
from carob.image.cancel import Cancellation
from carob.image.fetch.turn import try_turn, wait_for_turn
from carob.image.files.durable import write_all
from carob.image.files.locks import Lock, create_shared, lock_for_writing
from carob.image.layers.growing import GrowingBlob
from carob.image.sources.source import BlobReader
from carob.image.store.blobs import HeldBlobs, partial_path, turn_path
from carob.spec.oci.descriptor import Descriptor

PIECE_BYTES = 1 << 18

_FULL = (errno.ENOSPC, errno.EDQUOT)


class StalePartial(CorruptData):
    """What an earlier download left was wrong. It is gone now: the same download again may succeed."""


class Watcher:
    """What a download tells: all from its own thread, nothing where the blob is there already."""

    def begin(self, growing: GrowingBlob, fd: int) -> None:
        """It is ours to download; its bytes will be in the file ``fd``, open until ``end``."""

    def reread(self, done_bytes: int) -> None:
        """So much of what an earlier download left is hashed."""

    def received(self, done_bytes: int) -> None:
        """So many bytes are there."""

    def is_useless(self) -> bool:
        """Whether nobody will go on with what is there so far, when a download ends early."""
        return False


def receive(
    blobs: HeldBlobs,
    descriptor: Descriptor,
    open_at: Callable[[int], BlobReader],
    *,
    cancel: Cancellation,
    watcher: Watcher | None = None,
    replace: bool = False,
) -> bool:
    """Sees to it that a blob is in the layout, and held there; whether it was this call that brought it.

    ``open_at`` opens the source's blob at an offset, or at the beginning. With ``replace`` a blob that is
    there is brought again. ``CorruptData`` names the blob where the bytes are not what the descriptor says;
    nothing is kept of them then. Else what the source raises, ``Cancelled``, and ``OSError``.
    """
    path = turn_path(blobs.layout, descriptor.digest)
    while True:
        cancel.check()
        if not replace and blobs.hold_present(descriptor):
            _clear_turn(path)
            return False
        turn = try_turn(path)
        if turn is None:
            wait_for_turn(path, cancel)
            continue
        with turn:
            # Whoever had the turn before may have brought it.
            if not replace and blobs.hold_present(descriptor):
                return False
            _Download(blobs, descriptor, open_at, cancel, watcher or Watcher()).run()
            return True


def _clear_turn(path: str) -> None:
    """Removes the fifo of one that was killed between the blob's last step and its own."""
    if os.path.lexists(path) and (turn := try_turn(path)) is not None:
        turn.close()


class _Download:
    """One attempt, by the one whose turn it is."""

    def __init__(
        self,
        blobs: HeldBlobs,
        descriptor: Descriptor,
        open_at: Callable[[int], BlobReader],
        cancel: Cancellation,
        watcher: Watcher,
    ) -> None:
        self._blobs = blobs
        self._descriptor = descriptor
        self._open_at = open_at
        self._cancel = cancel
        self._watcher = watcher
        self._growing = GrowingBlob()
        self._hash = hashlib.sha256()
        self._done_bytes = 0
        self._is_wrong = False
        self._path = partial_path(blobs.layout, descriptor.digest)

    def run(self) -> None:
        held = _open_partial(self._path)
        try:
            self._watcher.begin(self._growing, held.fd)
            resumed_bytes = self._reread(held.fd)
            if self._done_bytes < self._descriptor.size_bytes:
                self._transfer(held.fd)
            self._check(resumed_bytes)
            self._growing.finish()
            os.fchmod(held.fd, 0o644)
            self._sync(held.fd)
            os.rename(self._path, self._blobs.layout.blob_path(self._descriptor.digest))
            self._blobs.hold(held)
        except BaseException as error:
            self._growing.fail(error)
            if not self._done_bytes or self._is_wrong or _is_full(error) or self._watcher.is_useless():
                os.unlink(self._path)
            held.close()
            raise

    def _sync(self, fd: int) -> None:
        try:
            os.fsync(fd)
        except OSError:
            self._is_wrong = True  # whoever reads it now is given what is in memory, and not on the disk
            raise

    def _reread(self, fd: int) -> int:
        """Hashes what an earlier download left; how much that was."""
        there_bytes = os.fstat(fd).st_size
        if there_bytes > self._descriptor.size_bytes:
            os.ftruncate(fd, 0)
            return 0
        while self._done_bytes < there_bytes and (piece := os.pread(fd, PIECE_BYTES, self._done_bytes)):
            self._cancel.check()
            self._take(piece)
            self._watcher.reread(self._done_bytes)
        os.lseek(fd, self._done_bytes, os.SEEK_SET)
        return self._done_bytes

    def _take(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._done_bytes += len(piece)
        self._growing.grow(self._done_bytes)

    def _transfer(self, fd: int) -> None:
        reader = self._open_at(self._done_bytes)
        try:
            with self._cancel.calls(reader.close):
                self._copy(reader, fd)
        except Exception:
            self._cancel.check()  # a reader that is closed raises what it likes
            raise
        finally:
            reader.close()

    def _copy(self, reader: BlobReader, fd: int) -> None:
        missing = self._descriptor.size_bytes
        # A source that cannot begin in the middle sends again what is there already.
        behind = self._done_bytes - reader.offset
        if behind < 0:
            raise CorruptData(f"blob {self._descriptor.digest}: the source left out {-behind} bytes of it")
        while piece := reader.read(PIECE_BYTES):
            self._cancel.check()
            if behind:
                skipped = min(behind, len(piece))
                behind -= skipped
                piece = piece[skipped:]
            if self._done_bytes + len(piece) > missing:
                self._is_wrong = True
                raise CorruptData(f"blob {self._descriptor.digest} is longer than {missing} bytes")
            write_all(fd, piece)
            self._take(piece)
            self._watcher.received(self._done_bytes)
        if self._done_bytes < missing:
            raise Unavailable(
                f"blob {self._descriptor.digest} ended after {self._done_bytes} of {missing} bytes",
                hint="try again: what is there is kept",
            )

    def _check(self, resumed_bytes: int) -> None:
        actual = "sha256:" + self._hash.hexdigest()
        if actual != self._descriptor.digest:
            self._is_wrong = True
            kind = StalePartial if resumed_bytes else CorruptData
            raise kind(f"blob {self._descriptor.digest} has the digest {actual}", hint="fetch it again")


def _is_full(error: BaseException) -> bool:
    """Whether there is no room left: what we took of it is given back."""
    return isinstance(error, OSError) and error.errno in _FULL


def _open_partial(path: str) -> Lock:
    while True:
        try:
            held = create_shared(path)
        except FileExistsError:
            try:
                return lock_for_writing(path)
            except FileNotFoundError:
                continue
        if held is not None:
            return held

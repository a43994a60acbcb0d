"""Names of sandboxes, each of which one call at a time may make, whichever service it is of.

For each there is ``<dir>/cri/<sha256 of the name>``: flocked by who makes or removes it, and with the pod's
uuid in it as soon as there is one, before anything of it runs. The lock dies with its holder, and what is in
the file is only a hint: the pod itself is asked.
"""

from __future__ import annotations

import asyncio
import os
from hashlib import sha256

from carob.engine.sandbox import views
from carob.errors import Unavailable
from carob.linux.flock import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_DIRECTORY = "cri"
_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_PAUSE_S = 0.02
_UUID_LETTERS = 36


class Reservation:
    """One name, for one ``async with`` block. Waiting for it can be cancelled.

    ``uuid`` is the pod that was made, or begun, by an earlier holder; ``""`` for none.
    """

    def __init__(self, data_dir: str, *parts: str) -> None:
        """``parts`` make the name."""
        digest = sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
        self._directory = f"{data_dir}/{_DIRECTORY}"
        self._path = f"{self._directory}/{digest}"
        self._lock: FileLock | None = None
        self.uuid = ""

    async def __aenter__(self) -> Reservation:
        """Raises ``Unavailable`` where the file cannot be made."""
        try:
            while not self._try():
                await asyncio.sleep(_PAUSE_S)
        except OSError as error:
            self._let_go()
            raise Unavailable(
                f"a sandbox's name cannot be reserved: {self._path}: {error.strerror}"
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()

    def made(self, uuid: str) -> None:
        """Notes the pod."""
        with open(self._path, "r+", encoding="ascii") as file:
            file.write(uuid)

    def free(self) -> None:
        """Nobody has the name any more."""
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass

    def _try(self) -> bool:
        try:
            lock = FileLock(self._path, file=True, create_mode=_FILE_MODE)
        except FileNotFoundError:
            os.makedirs(self._directory, _DIRECTORY_MODE, exist_ok=True)
            return False
        if not lock.try_exclusive_lock() or not self._is_in_place(lock):
            lock.close()
            return False
        self._lock = lock
        self.uuid = _hint(lock)
        return True

    def _is_in_place(self, lock: FileLock) -> bool:
        """Whether nobody took the file away since it was opened."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(lock.fd()))

    def _let_go(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()


def _hint(lock: FileLock) -> str:
    return os.pread(lock.fd(), _UUID_LETTERS, 0).decode("ascii", "replace")


def sweep(data_dir: str) -> None:
    """Deletes what is noted of pods that others have removed; what is held is left alone."""
    directory = f"{data_dir}/{_DIRECTORY}"
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        try:
            lock = FileLock(f"{directory}/{name}", file=True)
        except OSError:
            continue
        try:
            if lock.try_exclusive_lock() and not views.is_there(data_dir, _hint(lock)):
                os.unlink(f"{directory}/{name}")
        finally:
            lock.close()

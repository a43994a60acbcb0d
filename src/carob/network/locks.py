"""Locks on files below the state directory, taken with patience but not for ever."""

from __future__ import annotations

import os
import time

from carob.errors import TimedOut
from carob.linux.flock import FileLock
from carob.network.failure import failed
from carob.network.places import make_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.network.places import Places

_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.05
_MODE = 0o600


def take(path: str, *, shared: bool = False, wait_s: float) -> FileLock:
    """The lock on the file ``path``, made where it is missing, within ``wait_s`` seconds.

    Raises ``TimedOut`` where another holds it for longer. The file must not be one that somebody removes.
    """
    lock = _open(path)
    try:
        deadline = time.monotonic() + wait_s
        pause_s = _PAUSE_S
        while not (lock.try_shared_lock() if shared else lock.try_exclusive_lock()):
            if time.monotonic() > deadline:
                raise TimedOut(f"{path} is locked by another process for more than {wait_s:g} s")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
    except BaseException:
        lock.close()
        raise
    return lock


def take_pods(places: Places, uuid: str, *, wait_s: float) -> FileLock:
    """The lock of one pod's networks, in ``places.pod_state``, which whoever detaches the pod removes at the
    end.

    Plugins hold it as well: while it is held, one of them may still be at work on the pod.
    """
    path = f"{places.pod_state(uuid)}/lock"
    while True:
        lock = take(path, wait_s=wait_s)
        try:
            if os.path.samestat(os.stat(path), os.fstat(lock.fd())):
                return lock
        except FileNotFoundError:
            pass
        lock.close()


def _open(path: str) -> FileLock:
    try:
        try:
            return FileLock(path, file=True, create_mode=_MODE)
        except FileNotFoundError:
            make_private(os.path.dirname(path))
            return FileLock(path, file=True, create_mode=_MODE)
    except OSError as error:
        raise failed(error, f"cannot open {path}") from error

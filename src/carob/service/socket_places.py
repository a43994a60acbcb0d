"""Sockets in the file system: one service a path, and never open to more than it should be.

::

    <path>          the socket, renamed here when it has its owner and mode
    <path>~         the socket while it is being made: nobody may connect
    <path>.lock     flocked by the service that listens there; its file stays

What a killed service left is taken over by the next one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket

from carob.errors import Conflict, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_DIRECTORY_MODE = 0o755
_LOCK_MODE = 0o600


class SocketPlace:
    """A path that this service alone listens on until ``leave``."""

    __slots__ = ("_lock", "path")

    def __init__(self, path: str) -> None:
        """Raises ``Conflict`` where another service has it, ``Unavailable`` where it cannot be made."""
        self.path = path
        try:
            os.makedirs(os.path.dirname(path), _DIRECTORY_MODE, exist_ok=True)
            self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _LOCK_MODE)
        except OSError as error:
            raise Unavailable(f"the socket {path} cannot be made: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._refuse()
        if _is_listened_on(path):  # by what knows nothing of the lock: systemd
            self._refuse()

    def _refuse(self) -> NoReturn:
        os.close(self._lock)
        raise Conflict(
            f"another service listens on {self.path}",
            hint="give this one another path: --listen unix:/PATH",
        )

    def bind(self, bind: Callable[[str], object], *, mode: int, gid: int = -1) -> None:
        """Has ``bind`` make the socket at the path that it is given, and puts it in place.

        For the only thread of the process: the file mode creation mask is changed meanwhile.
        """
        new = f"{self.path}~"
        mask = os.umask(0o777)
        try:
            bind(new)
        finally:
            os.umask(mask)
        try:
            if gid >= 0:
                os.chown(new, -1, gid)
            os.chmod(new, mode)
            os.rename(new, self.path)
        except OSError as error:
            raise Unavailable(f"the socket {self.path} cannot be made: {error.strerror}") from error

    def leave(self) -> None:
        """Takes the socket away and lets others have the path. May be called again."""
        if self._lock < 0:
            return
        try:
            os.unlink(self.path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        finally:
            os.close(self._lock)
            self._lock = -1


def _is_listened_on(path: str) -> bool:
    """What a killed process left refuses; whoever listens is only knocked at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as knocking:
        knocking.setblocking(False)
        try:
            knocking.connect(path)
        except BlockingIOError:
            return True  # its queue is full
        except OSError:
            return False
    return True

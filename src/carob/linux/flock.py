"""Whole-file locks, flock(2), on directories and regular files.

What the kernel does, and what follows from it here:

- A lock belongs to the open file description. A child forked without exec shares it and would keep
  the lock after the parent let go, so every open lock is known to a fork hook: in the child each
  directory is opened anew, without the lock, and each other file is closed.
- Converting a lock drops the old one first; a conversion that fails has lost it. Nothing here
  converts: ask for another kind of lock while one is held and the answer is ``Conflict``.
- A lock follows its directory through renames.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from _thread import RLock
from _weakref import ref

from carob.errors import Conflict, InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Held = Literal["unlocked", "shared", "exclusive"]

UNLOCKED: Held = "unlocked"
SHARED: Held = "shared"
EXCLUSIVE: Held = "exclusive"

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

# Held while a descriptor exists that the fork hook does not know yet, and by the hook while forking.
_fork_guard = RLock()
_open_locks: dict[int, ref[FileLock]] = {}


class FileLock:
    """An open directory or file that can be locked. Not for use by several threads at once.

    The methods are those of rkt's ``lock.FileLock``. ``held`` says what this object holds.
    """

    __slots__ = ("__weakref__", "_fd", "_is_directory", "held")

    def __init__(
        self, path: str, *, dir_fd: int | None = None, file: bool = False, create_mode: int | None = None
    ) -> None:
        """Opens the directory ``path``, or with ``file`` the regular file.

        With ``create_mode`` a missing file is made. Raises ``OSError`` as open(2) does;
        ``NotADirectoryError`` where a directory is wanted, EINVAL for what is no regular file.
        """
        self._fd = -1
        self.held: Held = UNLOCKED
        self._is_directory = not file
        with _fork_guard:
            if file:
                self._fd = _open_file(path, dir_fd, create_mode)
            else:
                self._fd = os.open(path, _OPEN_DIRECTORY, dir_fd=dir_fd)
            _open_locks[self._fd] = ref(self)

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called, or a fork closed it."""
        return self._fd < 0

    def fd(self) -> int:
        """The descriptor; ``InvalidInput`` (a ``ValueError``) once closed."""
        if self._fd < 0:
            raise InvalidInput("the lock is closed", hint="open it again")
        return self._fd

    def try_exclusive_lock(self) -> bool:
        """Takes the exclusive lock if it is free at once; whether it is held now."""
        return self._take(EXCLUSIVE, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def exclusive_lock(self) -> None:
        """Takes the exclusive lock, waiting for it as long as it takes."""
        self._take(EXCLUSIVE, fcntl.LOCK_EX)

    def try_shared_lock(self) -> bool:
        """Takes a shared lock if nobody holds the exclusive one; whether it is held now."""
        return self._take(SHARED, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def shared_lock(self) -> None:
        """Takes a shared lock, waiting for it as long as it takes."""
        self._take(SHARED, fcntl.LOCK_SH)

    def _take(self, wanted: Held, operation: int) -> bool:
        fd = self.fd()
        if self.held == wanted:
            return True
        if self.held != UNLOCKED:
            raise Conflict(
                f"a {self.held} lock cannot become a {wanted} one without letting go of it",
                hint="unlock first, or open the pod a second time",
            )
        try:
            fcntl.flock(fd, operation)
        except BlockingIOError:
            return False
        self.held = wanted
        return True

    def unlock(self) -> None:
        """Lets go of what is held; nothing where nothing is."""
        fd = self.fd()
        if self.held != UNLOCKED:
            fcntl.flock(fd, fcntl.LOCK_UN)
            self.held = UNLOCKED

    def close(self) -> None:
        """Unlocks and closes. May be called again.

        Unlocking by name reaches a child that was forked behind the interpreter's back, too.
        """
        with _fork_guard:
            fd, self._fd = self._fd, -1
            if fd < 0:
                return
            if self.held != UNLOCKED:
                self.held = UNLOCKED
                fcntl.flock(fd, fcntl.LOCK_UN)
            _open_locks.pop(fd, None)
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()

    def _part_from_parent(self) -> None:
        """In a forked child: the same directory through a description of the child's own."""
        fd, self.held = self._fd, UNLOCKED
        try:
            if not self._is_directory:
                raise OSError
            own = os.open(".", _OPEN_DIRECTORY, dir_fd=fd)
        except OSError:
            self._fd = -1
            _open_locks.pop(fd, None)
            os.close(fd)
        else:
            os.dup2(own, fd, inheritable=False)
            os.close(own)


def _open_file(path: str, dir_fd: int | None, create_mode: int | None) -> int:
    # O_NONBLOCK: a FIFO in the file's place must not hang the caller.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    if create_mode is not None:
        flags |= os.O_CREAT
    fd = os.open(path, flags, create_mode or 0, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return fd


def probe(path: str, *, dir_fd: int | None = None) -> tuple[bool, int, int]:
    """Whether the directory ``path`` is exclusively locked by anybody, and its device and inode.

    Through a descriptor of its own, so no lock of the caller's is touched; the shared lock that it
    takes for an instant can make another's non-blocking exclusive lock fail. No fork can happen
    meanwhile. Raises ``OSError`` as open(2) does.
    """
    with _fork_guard:
        fd = os.open(path, _OPEN_DIRECTORY, dir_fd=dir_fd)
        try:
            found = os.fstat(fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True, found.st_dev, found.st_ino
            fcntl.flock(fd, fcntl.LOCK_UN)
            return False, found.st_dev, found.st_ino
        finally:
            os.close(fd)


def _before_fork() -> None:
    _fork_guard.acquire()


def _after_fork_in_parent() -> None:
    _fork_guard.release()


def _after_fork_in_child() -> None:
    for known in list(_open_locks.values()):
        lock = known()
        if lock is not None:
            lock._part_from_parent()
    _fork_guard.release()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)

"""ptrace(2): a program and all that it starts, stopped at the entry of each system call."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Callable
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long

_CONT, _DETACH, _SYSCALL = 7, 17, 24
_SEIZE, _INTERRUPT, _LISTEN, _GET_SYSCALL_INFO = 0x4206, 0x4207, 0x4208, 0x420E
_OPTIONS = 0x01 | 0x02 | 0x04 | 0x08 | 0x10  # syscalls told apart; fork, vfork, clone and exec told
_EVENT_EXEC, _EVENT_STOP = 4, 128
_ALL = 0x40000000  # __WALL
_GROUP_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


class _Entry(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64), ("stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64), ("arguments", ctypes.c_uint64 * 6), ("rest", ctypes.c_uint64 * 4),
    )  # fmt: skip


class Call(NamedTuple):
    """A system call that a task is about to make."""

    pid: int
    number: int
    arguments: tuple[int, ...]


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    done: int = _libc.ptrace(request, pid, address, data)
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return done


class Traced:
    """A program that runs under the eyes of this process, with all that descends from it.

    ``became(pid)`` is called for each new task, and each time that one becomes another program; where it
    says no, the task is let go, and what it starts is not seen. ``about_to(call)`` is called at the entry of
    each system call. Use it in a process that has no other children.
    """

    def __init__(self, became: Callable[[int], bool], about_to: Callable[[Call], None]) -> None:
        self._became = became
        self._about_to = about_to
        self._tasks: set[int] = set()
        self.main = 0
        self.status: int | None = None

    def start(self, argv: list[str], environment: dict[str, str], output: int) -> None:
        """Starts the program with what it says going to the open file ``output``."""
        child = os.fork()
        if child == 0:
            try:
                os.setsid()
                null = os.open("/dev/null", os.O_RDONLY)
                for target, source in ((0, null), (1, output), (2, output)):
                    os.dup2(source, target)
                os.kill(os.getpid(), signal.SIGSTOP)
                os.execve(argv[0], argv, environment)
            finally:
                os._exit(127)
        os.waitpid(child, os.WUNTRACED)
        _ptrace(_SEIZE, child, 0, _OPTIONS)
        self.main = child
        self._tasks.add(child)
        self._became(child)
        os.kill(child, signal.SIGCONT)

    def attach(self, pid: int) -> None:
        """Sees a process that runs already, and all that it starts from now on, too."""
        _ptrace(_SEIZE, pid, 0, _OPTIONS)
        self._tasks.add(pid)
        _ptrace(_INTERRUPT, pid)

    def step(self) -> bool:
        """Waits for one stop and has it go on; false when the program itself has ended."""
        pid, status = os.waitpid(-1, _ALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            self._tasks.discard(pid)
            if pid == self.main:
                self.status = status
                return False
            return True
        try:
            self._go_on(pid, status)
        except ProcessLookupError:  # it was killed in the meantime
            pass
        return True

    def _go_on(self, pid: int, status: int) -> None:
        number, event = os.WSTOPSIG(status), status >> 16
        if pid not in self._tasks:
            self._tasks.add(pid)
            if not self._became(pid):
                self._let_go(pid)
                return
        if number == signal.SIGTRAP | 0x80:
            self._at_call(pid)
            _ptrace(_SYSCALL, pid)
        elif event == _EVENT_STOP and number in _GROUP_STOPS:
            _ptrace(_LISTEN, pid)
        elif event == _EVENT_EXEC and not self._became(pid):
            self._let_go(pid)
        elif event:
            _ptrace(_SYSCALL, pid)
        else:
            _ptrace(_SYSCALL, pid, 0, number)

    def _at_call(self, pid: int) -> None:
        entry = _Entry()
        _ptrace(_GET_SYSCALL_INFO, pid, ctypes.sizeof(entry), ctypes.addressof(entry))
        if entry.op == 1:
            self._about_to(Call(pid, int(entry.number), tuple(int(one) for one in entry.arguments)))

    def _let_go(self, pid: int) -> None:
        self._tasks.discard(pid)
        _ptrace(_DETACH, pid)

    def let_all_go(self) -> None:
        """Traces nothing any more: what runs goes on by itself."""
        for pid in self._tasks:
            try:
                _ptrace(_INTERRUPT, pid)
            except OSError as error:
                if error.errno not in (errno.ESRCH, errno.EIO):
                    raise
        while self._tasks:
            try:
                pid, status = os.waitpid(-1, _ALL)
            except ChildProcessError:
                return
            self._tasks.discard(pid)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                if pid == self.main:
                    self.status = status
                continue
            number = os.WSTOPSIG(status)
            given = number if not status >> 16 and number != signal.SIGTRAP | 0x80 else 0
            try:
                _ptrace(_DETACH, pid, 0, given)
            except ProcessLookupError:
                continue

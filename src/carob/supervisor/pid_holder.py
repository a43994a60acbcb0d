"""The PID namespace that apps of a mutable pod share: it is held by a process that has and sees nothing.

Were it init's own, an app with the power to trace others, which in Kubernetes is an app like any, could enter
init. What it can enter here is a shell without memory of init's, that waits: with an empty root, no
capabilities, a mount namespace of its own, and one descriptor, of a pipe that nobody writes to. It reaps by
ignoring how its children end, and ends with init.
"""

from __future__ import annotations

import os
from _signal import SIG_DFL, SIG_IGN, SIGCHLD, set_wakeup_fd, signal

from carob.linux import mount, namespaces
from carob.linux.nobody import become_nobody
from carob.linux.pidfd import has_ended
from carob.linux.syscall import close_range
from carob.supervisor.journal import note_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_SHELL = "/bin/sh"
_PROGRAM = "echo; exec >&-; read -r _"
_ATTRIBUTES = (
    mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC
)
_LAST_DESCRIPTOR = 0x7FFFFFFF


class PidHolder:
    """The process, from init's side; made when the first app wants it, and anew should it have ended."""

    __slots__ = ("_pid", "_pidfd", "_pipe", "_user_namespace")

    def __init__(self, user_namespace: int) -> None:
        """``user_namespace`` is a descriptor of that of a pod with owners of its own, else -1."""
        self._user_namespace = user_namespace
        self._pid = 0
        self._pidfd = -1
        self._pipe = -1

    def open_namespace(self) -> int:
        """A descriptor of the namespace. Raises ``OSError``."""
        if self._pidfd < 0 or has_ended(self._pidfd):
            self._begin()
        return os.open(f"/proc/{self._pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def _begin(self) -> None:
        """Has it made by a process that ends: init's own namespaces stay what they are."""
        for old in (self._pidfd, self._pipe):
            if old >= 0:
                os.close(old)
        self._pidfd = self._pipe = -1
        held, self._pipe = os.pipe2(os.O_CLOEXEC)
        try:
            told = self._made(held)
        finally:
            os.close(held)
        if not told:
            raise OSError("the PID namespace that its apps share could not be made")
        self._pid = int(told)
        self._pidfd = os.pidfd_open(self._pid)

    def _made(self, held: int) -> bytes:
        """The holder's pid, in words; none where there is none."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                if os.fork() == 0:
                    os.close(self._pipe)
                    os.close(reading)
                    _make(self._user_namespace, held, writing)
            finally:
                os.close(writing)
            return os.read(reading, 32)
        finally:
            os.close(reading)


def _make(user_namespace: int, held: int, told: int) -> NoReturn:
    """The process that makes the holder, and takes the root away from under it; never returns."""
    try:
        set_wakeup_fd(-1)
        signal(SIGCHLD, SIG_DFL)
        if user_namespace >= 0:
            namespaces.join(user_namespace)
        namespaces.own_mounts()
        waits, says = os.pipe2(os.O_CLOEXEC)
        pid, _ = namespaces.fork_into(namespaces.CLONE_NEWPID)
        if pid == 0:
            _hold(held, says)
        os.close(says)
        while os.read(waits, 16):  # it has loaded all that it needs when it closes that
            pass
        top = mount.new("tmpfs", [("size", "4k"), ("mode", "555")], _ATTRIBUTES, "carob")
        mount.set_propagation("/", mount.MS_PRIVATE)
        mount.attach(os.dup(top), "/")
        mount.pivot_root(top)  # who has the old root or working directory gets the new one
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            os.write(told, b"%d" % pid)
    except BaseException as error:  # noqa: BLE001 - a fork of PID 1 never returns
        note_failure("making the PID namespace that the apps share", error)
    finally:
        os._exit(0)


def _hold(held: int, says: int) -> NoReturn:
    """Becomes the holder: it reads from ``held``, and closes ``says`` when it does."""
    try:
        signal(SIGCHLD, SIG_IGN)
        os.chdir("/")
        os.dup2(held, 0)
        os.dup2(says, 1)
        close_range(2, _LAST_DESCRIPTOR)
        become_nobody()
        namespaces.set_no_new_privileges()  # who is root and cannot be nobody would get all of them back
        os.execve(_SHELL, ["carob-pod", "-c", _PROGRAM], {})
    finally:
        os._exit(1)

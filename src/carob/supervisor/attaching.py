"""A pod's networks, as its monitor sees to them: processes of their own attach and detach it.

Only the monitor of a pod that has networks loads this. What attaches is made before the pod is known
(``boot``), and loads meanwhile; it ends when it has answered. What detaches is forked at the pod's end.
"""

from __future__ import annotations

import os
import select
from _signal import SIGKILL
from _socket import socket

from carob.linux.pidfd import send_signal
from carob.linux.syscall import close_range
from carob.supervisor import channel as channels
from carob.supervisor import inheritance
from carob.supervisor.journal import note, note_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_LINK = 3
_BUDGET_S = 10.0
_LONGER_S = 5.0  # locks that others hold, and plugins that have to be killed


class Attacher:
    """The process that attaches, at the other end of ``link``, and what it gives the monitor to keep:
    ``ports``, sockets that hold the host's published ports, and ``places``, which what detaches is told;
    ``None`` where nothing is to be detached.
    """

    __slots__ = ("_detacher", "_link", "_pidfd", "_target", "places", "ports")

    def __init__(self, link: socket) -> None:
        self._link: socket | None = link
        self._pidfd = -1
        self._detacher: Detacher | None = None
        self._target = ""
        self.places: dict[str, Any] | None = None
        self.ports: list[int] = []

    @classmethod
    def attached(cls, target: str, places: dict[str, Any], ports: list[int]) -> Attacher:
        """What is left of one that has done its work."""
        left = cls.__new__(cls)
        left._link, left._pidfd, left._detacher = None, -1, None
        left._target, left.places, left.ports = target, places, ports
        return left

    def fileno(self) -> int:
        """Readable when there is something to ``hear``; -1 once all was heard."""
        return self._link.fileno() if self._link is not None else -1

    def attach(self, target: str, plan: dict[str, Any], init: int) -> None:
        """Has the pod at ``target`` attached, whose init has the pid ``init``."""
        assert self._link is not None
        _may_hold_many()
        networks = plan["networks"]
        self._target, self.places = target, networks["places"]
        message = {
            "op": "attach",
            "namespace": f"/proc/{init}/ns/net",
            "data_dir": target.rsplit("/", 3)[0],
            "places": self.places,
            "hostname": networks["hostname"],
            "resolver": networks["resolver"],
        }
        # Not the monitor's own descriptor: a copy of that would hold the pod's lock.
        pod = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _, (self._pidfd,) = channels.receive(self._link)
            channels.send(self._link, message, (pod,))
        except (OSError, ValueError):
            return  # it has ended: ``hear`` tells
        finally:
            os.close(pod)

    def hear(self) -> dict[str, Any] | None:
        """Takes in what it says; the word for init once all is said: ``failure``, a message, or nothing."""
        assert self._link is not None
        try:
            message, descriptors = channels.receive(self._link)
        except (OSError, ValueError) as error:
            note_failure("hearing what attaches the pod", error)
            message, descriptors = None, []
        self.ports += descriptors
        if message is not None and message["event"] == "ports":
            return None
        self.end()
        if message is not None and message["event"] == "attached":
            return {"op": "attached"}
        failure = message or {"kind": "unavailable", "message": "what attaches the pod's networks ended"}
        words = {key: str(failure.get(key, "")) for key in ("kind", "message", "hint")}
        return {"op": "not attached", "failure": words}

    def share_ports(self, link: socket) -> None:
        """Has init hold the ports as well: they are the pod's for as long as one of the two lives."""
        try:
            for first in range(0, len(self.ports), channels.MAX_DESCRIPTORS):
                part = tuple(self.ports[first : first + channels.MAX_DESCRIPTORS])
                channels.send(link, {"op": "ports"}, part)
        except OSError:
            return  # init has ended

    def end(self) -> None:
        """Ends the process, wherever it is: what it has begun is for ``detach``."""
        if self._link is None:
            return
        self._link.close()
        self._link = None
        if self._pidfd >= 0:
            send_signal(self._pidfd, SIGKILL)
            _wait_for_end(self._pidfd, None)
            os.close(self._pidfd)

    def expect_end(self) -> None:
        """Init is dying: what detaches the pod may load."""
        if self._detacher is None and self.places is not None:
            self._detacher = Detacher(self._target, self.places)

    def succeed(self) -> Detacher | None:
        """Init is gone: what undoes all this, at work; ``None`` where there is nothing to undo."""
        self.end()
        self.expect_end()
        if self._detacher is not None:
            self._detacher.begin()
        return self._detacher


def _wait_for_end(pidfd: int, limit_s: float | None) -> bool:
    """Whether the process has ended within that time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if limit_s is None else int(limit_s * 1000)))


def _may_hold_many() -> None:
    """Every published port is a descriptor."""
    _, most = inheritance.limit(inheritance.NOFILE)
    inheritance.set_limit(inheritance.NOFILE, most, most)


def become_attacher(link: socket) -> NoReturn:
    """Is what attaches the pod from now on."""
    try:
        pidfd = os.pidfd_open(os.getpid())
        channels.send(link, {"event": "here"}, (pidfd,))
        os.dup2(link.fileno(), _LINK)
        close_range(_LINK + 1, 0xFFFFFFFF)
        inheritance.leave()
        _may_hold_many()
        from carob.network import program

        program.main(_LINK)
    finally:
        os._exit(1)


class Detacher:
    """The process that detaches a pod: it loads, and waits until it is told that init is gone."""

    __slots__ = ("_pid", "_word")

    def __init__(self, target: str, places: dict[str, Any]) -> None:
        waiting, self._word = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._word)
            _become_detacher(waiting, target, places)
        os.close(waiting)

    def begin(self) -> None:
        """Tells it so."""
        try:
            os.write(self._word, b"1")
        except BrokenPipeError:
            note("what detaches the pod's networks ended early, which is left to gc")
        os.close(self._word)

    def wait(self) -> None:
        """Returns when it has ended, which it is made to where it takes too long."""
        pidfd = os.pidfd_open(self._pid)
        if not _wait_for_end(pidfd, _BUDGET_S + _LONGER_S):
            note("detaching the pod's networks takes too long; it is left to gc")
            os.kill(self._pid, SIGKILL)
        os.close(pidfd)
        os.waitpid(self._pid, 0)


def _become_detacher(waiting: int, target: str, places: dict[str, Any]) -> NoReturn:
    try:
        from carob.network.detach import detach
        from carob.network.places import places_of

        if not os.read(waiting, 1):
            os._exit(0)  # the monitor is dead
        pod = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        owed = detach(pod, places_of(places), budget_s=_BUDGET_S)
        for interface, why in owed.items():
            note(f"{interface} is not detached, which is left to gc: {why}")
    except BaseException as error:  # noqa: BLE001 - gc does it, and here is said why
        note_failure("detaching the pod's networks", error)
    finally:
        os._exit(0)

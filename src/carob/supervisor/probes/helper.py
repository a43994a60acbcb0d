"""HTTP and gRPC for a pod's probes: a process of init's, made when the first such probe is tried.

What strangers say in these protocols is taken apart here and not in PID 1. What they need is loaded by init,
and before it lets go of the host's tree, so that another such process can be made where one dies. It has the
rights of nobody; it keeps no time, and gives up what init says.

One packet a message: ``id`` and ``probe`` begins a try, ``id`` alone gives it up; the answer has ``id`` and
``verdict``.
"""

from __future__ import annotations

import os
import select
import sys
from _signal import SIG_DFL, SIGCHLD, SIGKILL, pidfd_send_signal, set_wakeup_fd, signal
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_SEQPACKET, socket, socketpair

from carob.linux import namespaces
from carob.linux.nobody import become_nobody
from carob.linux.syscall import close_range
from carob.protocol.compact_json import dumps, loads
from carob.protocol.probing import GRPC, HTTP, HTTPS
from carob.supervisor.journal import note, note_failure
from carob.supervisor.probes import http
from carob.supervisor.probes.dial import Dial, trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, NoReturn

    from carob.supervisor.init import Init
    from carob.supervisor.probes.dial import Talk

_PACKET_BYTES = 1 << 17
_LAST_DESCRIPTOR = 0x7FFFFFFF
_GONE = "the process that tries probes is gone"


def load(probes: Iterable[Mapping[str, Any]]) -> None:
    """Loads what these probes need; gRPC's say in which directories that is."""
    probes = list(probes)
    if any(probe.get("scheme") == HTTPS for probe in probes):
        from carob.supervisor.probes import tls  # noqa: F401 - for ``_Try``
    if libraries := [one for probe in probes if probe["kind"] == GRPC for one in probe["libraries"]]:
        sys.path += libraries
        try:
            from carob.supervisor.probes import grpc  # noqa: F401 - for ``_Try``
        finally:
            del sys.path[len(sys.path) - len(libraries) :]


class Helper:
    """The process, from init's side."""

    __slots__ = ("_asked", "_channel", "_count", "_init", "_pidfd")

    def __init__(self, init: Init) -> None:
        self._init = init
        self._channel: socket | None = None
        self._pidfd = -1
        self._count = 0
        self._asked: dict[int, Callable[[str | None], None]] = {}

    def ask(self, probe: Mapping[str, Any], told: Callable[[str | None], None]) -> int:
        """Begins a try; ``told`` gets the verdict, ``None`` where the process has died. ``OSError``."""
        if self._channel is None:
            self._start()
        self._count += 1
        self._asked[self._count] = told
        self._say({"id": self._count, "probe": dict(probe)})
        return self._count

    def give_up(self, number: int) -> None:
        """Nobody waits for the verdict of that try any more."""
        if self._asked.pop(number, None) is not None:
            self._say({"id": number})

    def _start(self) -> None:
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
        try:
            pid = os.fork()
            if pid == 0:
                _become(theirs)
            self._pidfd = os.pidfd_open(pid)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._channel = ours
        self._init.watch(ours.fileno(), self._hear)

    def _say(self, message: dict[str, Any]) -> None:
        if self._channel is None:
            return
        try:
            self._channel.send(dumps(message).encode())
        except OSError:  # it does not listen, or is gone
            self._bury()

    def _hear(self) -> None:
        assert self._channel is not None
        try:
            raw = self._channel.recv(_PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError:
            raw = b""
        if not raw:
            self._bury()
            return
        try:
            answer = loads(raw)
            number, verdict = int(answer["id"]), str(answer["verdict"])
        except (ValueError, KeyError, TypeError) as error:  # it hears strangers, and is not to be trusted
            note_failure("the process that tries probes", error)
            self._bury()
            return
        told = self._asked.pop(number, None)
        if told is not None:
            told(verdict)

    def _bury(self) -> None:
        """Ends it; the next try makes another."""
        if self._channel is None:
            return
        note(_GONE)
        self._init.forget(self._channel.fileno())
        self._channel.close()
        self._channel = None
        try:
            pidfd_send_signal(self._pidfd, SIGKILL)
        except ProcessLookupError:
            pass
        os.close(self._pidfd)
        asked, self._asked = self._asked, {}
        for told in asked.values():
            told(None)


def _become(channel: socket) -> NoReturn:
    status = 1
    try:
        set_wakeup_fd(-1)
        signal(SIGCHLD, SIG_DFL)
        keep = channel.fileno()
        close_range(3, keep - 1)
        close_range(keep + 1, _LAST_DESCRIPTOR)
        namespaces.set_process_name("carob-probe")
        become_nobody()
        _Server(channel).live()
        status = 0
    except BaseException as error:  # noqa: BLE001 - a fork of PID 1 never returns
        note_failure("probe", error)
    finally:
        os._exit(status)


class _Server:
    """The loop of that process."""

    def __init__(self, channel: socket) -> None:
        self.poll = select.poll()
        self._channel = channel
        self._handlers: dict[int, Callable[[], None]] = {}
        self._tries: dict[int, _Try] = {}
        self.watch(channel.fileno(), self._hear)

    def watch(self, descriptor: int, handler: Callable[[], None]) -> None:
        self._handlers[descriptor] = handler
        self.poll.register(descriptor, select.POLLIN)

    def forget(self, descriptor: int) -> None:
        del self._handlers[descriptor]
        self.poll.unregister(descriptor)

    def live(self) -> None:
        """Tries what it is asked to until init is gone."""
        while self._channel.fileno() >= 0:
            due = [(ready, self._handlers.get(ready)) for ready, _ in self.poll.poll()]
            for descriptor, handler in due:
                if handler is not None and self._handlers.get(descriptor) is handler:
                    handler()

    def _hear(self) -> None:
        raw = self._channel.recv(_PACKET_BYTES)
        if not raw:
            self._channel.close()
            return
        message = loads(raw)
        number, probe = message["id"], message.get("probe")
        if probe is None:
            given_up = self._tries.pop(number, None)
            if given_up is not None:
                given_up.close()
            return
        one = self._tries[number] = _Try(self, probe, lambda verdict: self._tell(number, verdict))
        one.begin()

    def _tell(self, number: int, verdict: str) -> None:
        del self._tries[number]
        self._channel.send(dumps({"id": number, "verdict": verdict}).encode())


class _Try:
    """One try of a probe, over all its redirects."""

    def __init__(self, server: _Server, probe: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        self._server = server
        self._probe = probe
        self._tell = tell
        self._dial: Dial | None = None
        self._get: http.Get | None = None
        self._redirects = 0

    def begin(self) -> None:
        """Its verdict comes later, or at once."""
        if self._probe["kind"] == HTTP:
            self._ask(http.first_target(self._probe))
            return
        from carob.supervisor.probes import grpc

        address, port = self._probe["address"], self._probe["port"]
        host = f"[{address}]" if ":" in address else address
        self._connect(port, grpc.Check(f"{host}:{port}", self._probe["service"]))

    def _ask(self, target: http.Target) -> None:
        self._get = http.Get(target, self._probe["headers"])
        talk: Talk = self._get
        if target.scheme == HTTPS:
            from carob.supervisor.probes.tls import Tls

            talk = Tls(talk)
        self._connect(target.port, talk)

    def _connect(self, port: int, talk: Talk) -> None:
        try:
            self._dial = Dial(self._server, self._probe["address"], port, talk, self._told)
        except OSError as error:
            self._tell(trouble(error))

    def _told(self, verdict: str) -> None:
        leads_to = self._get.next if self._get is not None else None
        if leads_to is None or verdict:
            self._tell(verdict)
        elif self._redirects == http.MOST_REDIRECTS:
            self._tell(f"more than {http.MOST_REDIRECTS} redirects")
        else:
            self._redirects += 1
            self._ask(leads_to)

    def close(self) -> None:
        """Gives it up."""
        if self._dial is not None:
            self._dial.close()

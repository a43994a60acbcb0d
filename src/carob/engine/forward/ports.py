"""Ports of this host that lead to ports of a pod, without any network between the two.

Each connection that is taken here is joined with one that the pod's init begins to the pod's own loopback
(``carob.supervisor.connecting``), and bytes are passed on both ways, ends too. One thread for all.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from carob.engine.forward.pair import Pair, Side
from carob.errors import CarobError, Conflict, Unavailable
from carob.supervisor.client import Connection

if TYPE_CHECKING:
    from carob.engine.forward.spec import ForwardSpec

_ANSWER_S = 10.0
_LAST_BYTES_S = 5.0
_PAUSE_S = 0.1
_BACKLOG = 128


class Forwarder:
    """Listens, and forwards in ``run`` until the pod ends or ``stop`` is called; then ``close``.

    ``ports`` are the (address, port) pairs here, in the order of the specs.
    """

    def __init__(self, pod_fd: int, uuid: str, specs: tuple[ForwardSpec, ...]) -> None:
        """Raises ``Unavailable`` where the pod does not run, ``Conflict`` for an address that is taken."""
        self._init = Connection(pod_fd, uuid, _ANSWER_S)
        self.ports: list[tuple[str, int]] = []
        self._selector = selectors.DefaultSelector()
        self._listeners: dict[socket.socket, int] = {}
        self._pairs: set[Pair] = set()
        self._asked: deque[Pair] = deque()
        self._paused_until_s: float | None = None
        self._give_up_at_s: float | None = None
        self._bell, self._rope = socket.socketpair()
        try:
            for spec in specs:
                self._listen(spec)
            self._selector.register(self._init.fileno(), selectors.EVENT_READ, self._hear_init)
            self._selector.register(self._bell, selectors.EVENT_READ, self._stop)
        except BaseException:
            self.close()
            raise

    def _listen(self, spec: ForwardSpec) -> None:
        family = socket.AF_INET6 if ":" in spec.address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._listeners[listener] = spec.pod_port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((spec.address, spec.local_port))
            listener.listen(_BACKLOG)
        except OSError as error:
            where = f"{spec.address}:{spec.local_port}"
            raise Conflict(
                f"cannot listen on {where}: {error.strerror}", hint="choose another port, or :PORT for any"
            ) from error
        self.ports.append(listener.getsockname()[:2])
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))

    # -- the loop

    def run(self) -> None:
        """Forwards. Returns when the pod has ended, its last bytes were passed on, or ``stop`` was called."""
        while self._selector.get_map() and (self._listeners or self._pairs):
            for key, events in self._selector.select(self._timeout_s()):
                if key.fd not in self._selector.get_map() or self._selector.get_key(key.fd) is not key:
                    continue  # what was done before has closed it
                if isinstance(key.data, Side):
                    self._go_on(key.data, events)
                else:
                    key.data()
            self._act_when_due()

    def stop(self) -> None:
        """Ends ``run``; from any thread."""
        self._rope.close()

    def _stop(self) -> None:
        for pair in list(self._pairs):
            self._drop(pair)
        self._stop_listening()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            self._forget(listener)
            listener.close()
        self._listeners = {}

    def _timeout_s(self) -> float | None:
        due = [at_s for at_s in (self._paused_until_s, self._give_up_at_s) if at_s is not None]
        return max(0.0, min(due) - monotonic()) if due else None

    def _act_when_due(self) -> None:
        now_s = monotonic()
        if self._give_up_at_s is not None and now_s >= self._give_up_at_s:
            self._stop()
        if self._paused_until_s is not None and now_s >= self._paused_until_s:
            self._paused_until_s = None
            for listener in self._listeners:
                self._watch_listener(listener)

    def _watch_listener(self, listener: socket.socket) -> None:
        if listener not in self._selector.get_map():
            self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))

    # -- connections

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # no descriptor or no memory left: who waits stays in the queue
            self._forget(listener)
            self._paused_until_s = monotonic() + _PAUSE_S
            return
        client.setblocking(False)
        pair = Pair(client, self._listeners[listener])
        self._pairs.add(pair)
        self._ask(pair, 4)

    def _ask(self, pair: Pair, version: int) -> None:
        """Has init begin the other half."""
        pair.version = version
        try:
            self._init.send({"op": "connect", "port": pair.pod_port, "version": version})
        except CarobError:
            self._drop(pair)
            return
        self._asked.append(pair)

    def _hear_init(self) -> None:
        """Init answers in the order in which it was asked; its end is the pod's."""
        pair = self._asked.popleft() if self._asked else None
        try:
            _, descriptors = self._init.receive()
        except Conflict:
            if pair is not None:
                self._refused(pair)
            return
        except Unavailable:
            self._forget(self._init.fileno())
            self._stop_listening()
            self._give_up_at_s = monotonic() + _LAST_BYTES_S
            for waiting in [*self._asked, *([pair] if pair is not None else [])]:
                self._drop(waiting)
            self._asked.clear()
            return
        if pair is None or len(descriptors) != 1 or pair not in self._pairs:
            for descriptor in descriptors:
                os.close(descriptor)
            return
        pair.join(socket.socket(fileno=descriptors[0]))
        self._watch(pair)

    def _refused(self, pair: Pair) -> None:
        """Nobody listens there: perhaps on the other loopback."""
        if pair.version == 4:
            pair.part()
            self._ask(pair, 6)
        else:
            self._drop(pair)

    def _go_on(self, side: Side, events: int) -> None:
        pair = side.pair
        try:
            if side is pair.pod and not pair.joined:
                self._unwatch(side)
                if pair.has_failed():
                    self._refused(pair)
                    return
            if events & selectors.EVENT_READ:
                side.read()
            pair.pass_on()
        except OSError:
            self._drop(pair)
            return
        if pair.is_over():
            self._drop(pair)
        else:
            self._watch(pair)

    def _watch(self, pair: Pair) -> None:
        """Waits for what can be done next on both sides."""
        for side in pair.sides():
            wanted = side.wanted()
            known = self._selector.get_map().get(side.socket)
            if not wanted:
                self._unwatch(side)
            elif known is None:
                self._selector.register(side.socket, wanted, side)
            elif known.events != wanted:
                self._selector.modify(side.socket, wanted, side)

    def _unwatch(self, side: Side) -> None:
        self._forget(side.socket)

    def _forget(self, file: socket.socket | int) -> None:
        if self._selector.get_map() and file in self._selector.get_map():
            self._selector.unregister(file)

    def _drop(self, pair: Pair) -> None:
        if pair in self._pairs:
            self._pairs.discard(pair)
            for side in pair.sides():
                self._unwatch(side)
            pair.close()

    def close(self) -> None:
        """Closes all; after ``run`` has returned."""
        self._stop()
        self._selector.close()
        self._bell.close()
        self._rope.close()
        self._init.close()

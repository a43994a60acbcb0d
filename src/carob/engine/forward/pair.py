"""A connection taken here and the one in the pod that it is joined with: bytes both ways, and ends."""

from __future__ import annotations

import selectors
import socket

_PIECE_BYTES = 1 << 16


class Side:
    """One of the two sockets. ``held`` was read from it and not yet written to the other."""

    __slots__ = ("has_ended", "held", "is_told", "pair", "socket")

    def __init__(self, pair: Pair, opened: socket.socket) -> None:
        self.pair = pair
        self.socket = opened
        self.held = b""
        self.has_ended = False
        self.is_told = False

    def read(self) -> None:
        """Takes what has come, or the end of it. Raises ``OSError`` where the connection is broken."""
        if self.held or self.has_ended:
            return
        try:
            self.held = self.socket.recv(_PIECE_BYTES)
        except BlockingIOError:
            return
        self.has_ended = not self.held

    def write_from(self, other: Side) -> None:
        """Writes what the other side holds and, once that has ended, tells the end. Raises ``OSError``."""
        if other.held:
            try:
                other.held = other.held[self.socket.send(other.held) :]
            except BlockingIOError:
                return
        if other.has_ended and not other.held and not other.is_told:
            other.is_told = True
            self.socket.shutdown(socket.SHUT_WR)

    def wanted(self) -> int:
        """The events to wait for."""
        pair = self.pair
        if not pair.joined:
            return selectors.EVENT_WRITE if self is pair.pod else 0
        other = pair.pod if self is pair.client else pair.client
        events = 0
        if not self.has_ended and not self.held:
            events |= selectors.EVENT_READ
        if other is not None and other.held:
            events |= selectors.EVENT_WRITE
        return events


class Pair:
    """Both sides; the pod's comes later, and is ``joined`` once it is connected."""

    __slots__ = ("client", "joined", "pod", "pod_port", "version")

    def __init__(self, client: socket.socket, pod_port: int) -> None:
        self.client = Side(self, client)
        self.pod: Side | None = None
        self.joined = False
        self.pod_port = pod_port
        self.version = 4

    def join(self, opened: socket.socket) -> None:
        """Takes the socket that is connecting in the pod."""
        self.pod = Side(self, opened)

    def has_failed(self) -> bool:
        """Whether the pod's side could not be connected, now that it is known; else it is joined."""
        assert self.pod is not None
        if self.pod.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return True
        self.joined = True
        for side in self.sides():
            side.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return False

    def part(self) -> None:
        """Gives the pod's side up."""
        if self.pod is not None:
            self.pod.socket.close()
            self.pod = None

    def sides(self) -> list[Side]:
        """Those that there are."""
        return [self.client] if self.pod is None else [self.client, self.pod]

    def pass_on(self) -> None:
        """Writes to each side what the other has given. Raises ``OSError``."""
        if self.joined and self.pod is not None:
            self.pod.write_from(self.client)
            self.client.write_from(self.pod)

    def is_over(self) -> bool:
        """Whether both have ended, and all was passed on."""
        return self.pod is not None and self.client.is_told and self.pod.is_told

    def close(self) -> None:
        """Closes both. Where not all was passed on, who is connected sees that as a broken connection."""
        for side in self.sides():
            if not self.is_over():
                try:
                    side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                except OSError:
                    pass
            side.socket.close()

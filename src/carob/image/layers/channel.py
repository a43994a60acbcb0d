"""What a worker and its parent say to each other: JSON messages and pieces of tars, over one stream socket.

Each is a header, the length of what follows, and for a piece how many compressed bytes were read so far.
Paths go as text that keeps any byte (PEP 383).
"""

from __future__ import annotations

import json
import os
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_HEADER = struct.Struct("=IQ")
_MESSAGE_BYTES = 1 << 30
_DESCRIPTORS = 4


class Closed(Exception):
    """The other side is gone."""


class Channel:
    """One side. Descriptors that come with a message are the receiver's."""

    __slots__ = ("_socket",)

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Sends a message, and copies of ``descriptors``. Raises ``Closed``."""
        data = json.dumps(message).encode()
        try:
            socket.send_fds(self._socket, [_HEADER.pack(len(data), 0)], descriptors)
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next message and its descriptors. Raises ``Closed``."""
        try:
            head, descriptors, _, _ = socket.recv_fds(self._socket, _HEADER.size, _DESCRIPTORS)
        except ConnectionResetError as error:
            raise Closed from error
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        try:
            size, _ = _HEADER.unpack(head + self._exactly(_HEADER.size - len(head)))
            message: dict[str, Any] = json.loads(self._exactly(min(size, _MESSAGE_BYTES)))
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        return message, descriptors

    def send_piece(self, piece: bytes, compressed_bytes: int) -> None:
        """Sends a piece of a tar; an empty one is the end. Raises ``Closed``."""
        try:
            self._socket.sendall(_HEADER.pack(len(piece), compressed_bytes))
            self._socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def receive_piece(self) -> tuple[bytes, int]:
        """The next piece, and how many compressed bytes were read so far. Raises ``Closed``."""
        size, compressed_bytes = _HEADER.unpack(self._exactly(_HEADER.size))
        return self._exactly(size), compressed_bytes

    def _exactly(self, size: int) -> bytes:
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            try:
                count = self._socket.recv_into(view)
            except ConnectionResetError as error:
                raise Closed from error
            if not count:
                raise Closed
            view = view[count:]
        return bytes(buffer)

    def has_something(self) -> bool:
        """Whether there is something to receive, or the other side is gone."""
        import select

        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        return bool(waiting.poll(0))

    def close(self) -> None:
        """Closes this side."""
        self._socket.close()

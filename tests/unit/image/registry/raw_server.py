"""A server whose every byte the test decides, for what no well-made server would send."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Conversation:
    """One connection. ``request`` is what came up to the empty line; empty where nothing did."""

    def __init__(self, connection: socket.socket, request: bytes, closing: threading.Event) -> None:
        self.connection = connection
        self.request = request
        self.closing = closing

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def trickle(self, data: bytes, pause_s: float) -> None:
        """Sends byte by byte, until the test is over."""
        for value in data:
            self.send(bytes((value,)))
            if self.closing.wait(pause_s):
                return


class RawServer:
    """Answers every request by ``speak``, which may go on for ever; the connection is closed after it.

    What a client sends by TLS is not answered: it sees the connection end.
    """

    def __init__(self, speak: Callable[[Conversation], None], address: str = "127.0.0.1") -> None:
        self._speak = speak
        self.requests: list[bytes] = []
        self.closing = threading.Event()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, 0), family=family)
        port = self._listener.getsockname()[1]
        self.host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(65536)
                if not piece or request[:1] + piece[:1] == b"\x16":  # a TLS handshake
                    return
                request += piece
            self.requests.append(request)
            self._speak(Conversation(connection, request, self.closing))

    def close(self) -> None:
        self.closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

"""An HTTP server on the loopback interface, in threads of this process, that is gone when it is closed."""

from __future__ import annotations

import socket
import socketserver
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self

from tests.parts.certificates import Certificate

_HANDSHAKE_S = 20.0


class _Listener(socketserver.ThreadingTCPServer):
    """A thread a connection; all connections are known, so that closing can end the idle ones too."""

    allow_reuse_address = True
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, address: str, owner: LoopbackServer, context: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.owner = owner
        self.open: set[socket.socket] = set()
        self.guard = threading.Lock()
        self._context = context
        super().__init__((address, 0), owner.handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = super().get_request()
        with self.guard:
            self.open.add(connection)
        return connection, peer

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._context is None:
            super().finish_request(request, client_address)
            return
        secured = self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        with self.guard:
            self.open.add(secured)
        try:
            if self.owner.closing.is_set():  # and so this connection may not have been ended
                return
            secured.settimeout(_HANDSHAKE_S)
            secured.do_handshake()
            secured.settimeout(None)
            super().finish_request(secured, client_address)
        finally:
            self.shutdown_request(secured)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self.guard:
            self.open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that went away, or does not trust us
            self.owner.faults.append(sys.exc_info()[1])

    def end_connections(self) -> None:
        with self.guard:
            for connection in self.open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class LoopbackServer:
    """Serves from construction until ``close``. To the class ``handler`` it is ``self.server.owner``.

    ``host`` is ``127.0.0.1:PORT``, ``base_url`` what stands before paths; ``closing`` says that it is to end.
    ``close`` raises what a handler raised that was not a connection's fault.
    """

    handler: type[BaseHTTPRequestHandler]

    def __init__(self, *, certificate: Certificate | None = None, address: str = "127.0.0.1") -> None:
        self.faults: list[BaseException | None] = []
        self.closing = threading.Event()
        context = None if certificate is None else certificate.server_context()
        self._listener = _Listener(address, self, context)
        self.port: int = self._listener.server_address[1]
        self.host = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        self.base_url = f"{'http' if context is None else 'https'}://{self.host}"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), name=self.host)
        self._thread.start()

    def settle(self, patience_s: float = 1.0) -> None:
        """Waits until the connections are closed whose clients have let go of them."""
        deadline = time.monotonic() + patience_s
        while self._listener.open and time.monotonic() < deadline:
            time.sleep(0.002)

    def close(self) -> None:
        """End all connections, wait for all threads."""
        if self.closing.is_set():
            return
        self.closing.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.end_connections()
        self._listener.server_close()
        for fault in self.faults:
            if fault is not None:
                raise fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open and prints nothing."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def body(self) -> bytes:
        """The whole body of the request, of known length or in chunks (RFC 9112, 7.1)."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(parts)

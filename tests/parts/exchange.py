"""One request on its way through `FaultyProxy`, its answer, and what may happen to both."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from email.message import Message


class Hangup(Exception):
    """The connection ends here: in good order, or by a reset."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("reset" if reset else "closed")
        self.reset = reset


class Exchange:
    """One request. ``target`` is path and query, ``base_url`` the proxy's; ``closing`` says that it ends."""

    def __init__(
        self, method: str, target: str, headers: Message, base_url: str, closing: threading.Event
    ) -> None:
        self.method, self.target, self.headers = method, target, headers
        self.base_url, self.closing = base_url, closing


class Reply:
    """An answer on its way: ``length`` is what Content-Length says, None for an answer in chunks."""

    def __init__(
        self,
        status: int,
        headers: dict[str, str],
        body: Iterator[bytes],
        length: int | None,
        *,
        close: bool = False,
    ) -> None:
        self.status, self.headers, self.body, self.length = status, headers, body, length
        self.close = close
        """Whether the connection is closed after it."""


class Fault:
    """Passes everything on as it is."""

    def before(self, exchange: Exchange) -> Reply | None:
        """An answer without asking upstream, or None; may change the headers of the exchange."""

    def change(self, reply: Reply, exchange: Exchange) -> None:
        """Changes the answer of upstream."""

"""What a registry served, read from its own log.

Distribution logs each request twice, as JSON at the level ``debug``: before it does anything, and when it has
answered. So it is known when all that clients have seen the beginning of is told.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

PATIENCE_S = 10.0
_BEGUN = "authorizing request"
_REFUSED = "error authorizing context:"  # and then nothing more is logged of the request
_BLOB = re.compile(r"/v2/.+/blobs/(sha256:[0-9a-f]{64})")


class Request(NamedTuple):
    """One answered request. ``size`` is how many bytes of body were sent, 0 where refused."""

    method: str
    path: str
    query: str
    status: int
    size: int
    agent: str

    @property
    def downloaded_blob(self) -> str | None:
        """The digest of the blob that this was a download of, whole or in part; None for all else."""
        found = _BLOB.fullmatch(self.path)
        return found[1] if found and self.method == "GET" and self.status in (200, 206) else None


class RequestLog:
    """Follows the log ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._under_way: dict[str, str] = {}
        self._served: list[Request] = []

    def served(self, *, patience_s: float = PATIENCE_S) -> list[Request]:
        """All requests so far in the order of their ends; waits for those that have begun.

        Raises TimeoutError naming the first of those that have not ended after ``patience_s`` seconds.
        """
        deadline = time.monotonic() + patience_s
        self._read_on()
        while self._under_way and patience_s > 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"still being answered: {next(iter(self._under_way.values()))}")
            time.sleep(0.005)
            self._read_on()
        return list(self._served)

    def _read_on(self) -> None:
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            if b'"http.request.id"' in line:
                self._take(json.loads(line))

    def _take(self, entry: dict[str, Any]) -> None:
        number, message = entry["http.request.id"], entry["msg"]
        if message == _BEGUN:
            self._under_way[number] = f"{entry['http.request.method']} {entry['http.request.uri']}"
        elif "http.response.status" in entry:
            self._end(number, entry, entry["http.response.status"], entry.get("http.response.written", 0))
        elif message.startswith(_REFUSED):
            self._end(number, entry, 401, 0)

    def _end(self, number: str, entry: dict[str, Any], status: int, size: int) -> None:
        if self._under_way.pop(number, None) is not None:
            target, agent = urlsplit(entry["http.request.uri"]), entry.get("http.request.useragent", "")
            method = entry["http.request.method"]
            self._served.append(Request(method, target.path, target.query, status, size, agent))

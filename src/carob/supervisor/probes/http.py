"""A GET of HTTP/1.1 for a probe (RFC 9112): the head of the answer is read, the body never.

As in Kubernetes 200 to 399 is well; redirects are followed on the same host, ten at most, and one to another
host is well in itself. So is, here, one from ``http`` to ``https``: TLS is there only for probes with
``https``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MOST_REDIRECTS = 10
_LONGEST_HEAD = 1 << 15
_FOLLOWED = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}
_DEFAULTS = (("User-Agent", "carob-probe"), ("Accept", "*/*"))


class Target:
    """Where a request goes: ``scheme``, ``address`` as in the probe, ``port``, ``path`` with its query."""

    __slots__ = ("address", "path", "port", "scheme")

    def __init__(self, scheme: str, address: str, port: int, path: str) -> None:
        self.scheme = scheme
        self.address = address
        self.port = port
        self.path = path

    @property
    def authority(self) -> str:
        """As a URL has it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def first_target(probe: Mapping[str, Any]) -> Target:
    """Where a probe of the launch plan begins."""
    return Target(probe["scheme"], probe["address"], probe["port"], probe["path"])


class Get:
    """One request and the head of its answer. ``next`` is where that leads, if it does, on this host."""

    __slots__ = ("_head", "_headers", "_target", "next")

    def __init__(self, target: Target, headers: list[list[str]]) -> None:
        self._target = target
        self._headers = headers
        self._head = b""
        self.next: Target | None = None

    def begin(self) -> bytes:
        """The request. Of the headers that are given none is said twice by itself."""
        given = {name.lower() for name, _ in self._headers}
        lines = [f"GET {self._target.path} HTTP/1.1"]
        if "host" not in given:
            lines.append(f"Host: {self._target.authority}")
        lines += [f"{name}: {value}" for name, value in self._headers]
        # As in Kubernetes a header without a value keeps the default from being sent.
        lines += [f"{name}: {value}" for name, value in _DEFAULTS if name.lower() not in given]
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode("utf-8")

    def hear(self, data: bytes) -> tuple[bytes, str | None]:
        """Nothing more is said; the verdict comes with the head's end."""
        self._head += data
        while True:
            head, rest = _cut(self._head)
            if head is None:
                return b"", "the head of its answer has no end" if len(self._head) >= _LONGEST_HEAD else None
            status = _status(head)
            if status is None:
                return b"", "its answer is not HTTP"
            if status < 200 and status != 101:
                self._head = rest  # an interim answer; the last one is to come
                continue
            return b"", self._verdict(status, head)

    def over(self) -> str:
        """Closed before its answer was whole."""
        return "it closed the connection in its answer" if self._head else "it closed the connection"

    def _verdict(self, status: int, head: bytes) -> str:
        if not 200 <= status < 400:
            return f"HTTP {status}"
        if status in _FOLLOWED and (location := _header(head, b"location")):
            self.next = _follow(self._target, location)
        return ""


def _cut(data: bytes) -> tuple[bytes | None, bytes]:
    """The head and what follows it; no head where its end has not come. Lines may end in LF alone."""
    ends = [(at, at + len(end)) for end in (b"\r\n\r\n", b"\n\n", b"\n\r\n") if (at := data.find(end)) >= 0]
    if not ends:
        return None, data
    at, after = min(ends)
    return data[:at], data[after:]


def _status(head: bytes) -> int | None:
    version, _, rest = head.partition(b"\n")[0].partition(b" ")
    digits = rest[:3]
    if not version.startswith(b"HTTP/1.") or len(digits) != 3 or not digits.isdigit() or rest[3:4].strip():
        return None
    return int(digits) if int(digits) >= 100 else None


def _header(head: bytes, wanted: bytes) -> str:
    """The first value of a header, ``""`` where there is none or it is not plain ASCII."""
    for line in head.split(b"\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon and name.lower() == wanted:
            text = value.strip().decode("latin-1")
            return text if text.isascii() and text.isprintable() and " " not in text else ""
    return ""


def _follow(target: Target, location: str) -> Target | None:
    """Where a redirect leads (RFC 3986, section 5.2, as far as servers go); ``None`` for another host."""
    location = location.partition("#")[0]
    scheme, colon, rest = location.partition("://")
    if not colon and not location.startswith("//"):
        return Target(target.scheme, target.address, target.port, _joined(target.path, location))
    scheme = scheme.lower() if colon else target.scheme
    authority = rest if colon else location[2:]
    for end in "/?":
        authority = authority.partition(end)[0]
    path = (rest if colon else location[2:])[len(authority) :]
    host, port = _host_and_port(authority.rpartition("@")[2])
    if scheme not in (target.scheme, "http") or host != target.address or port is None:
        return None
    return Target(scheme, target.address, port or _PORTS[scheme], path if path[:1] == "/" else f"/{path}")


def _joined(base: str, location: str) -> str:
    if location.startswith("/"):
        return location
    path = base.partition("?")[0]
    if location[:1] in ("", "?"):
        return path + location
    return path[: path.rfind("/") + 1] + location


def _host_and_port(authority: str) -> tuple[str, int | None]:
    """A port of 0 is the scheme's own, ``None`` is none."""
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        port = port[1:]
    else:
        host, _, port = authority.partition(":")
    if not port:
        return host, 0
    return host, int(port) if port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536 else None

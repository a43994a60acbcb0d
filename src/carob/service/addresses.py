"""Where a service listens, as people write it. Pure, but for what a group is called."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import quote

from carob.errors import InvalidInput

_MOST_PATH_BYTES = 106
"""What sun_path takes (unix(7)) is 108, less the end and a letter for the name that it is bound by first."""


class UnixAddress:
    """A socket in the file system, by its absolute ``path``."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __str__(self) -> str:
        return f"unix:{self.path}"


class TcpAddress:
    """An IP address, ``host``, and a ``port``; 0 is one that the kernel chooses."""

    __slots__ = ("host", "port")

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.host).is_loopback


def parse_address(text: str) -> UnixAddress | TcpAddress:
    """``unix:/PATH``, ``/PATH``, or ``HOST:PORT`` with an IP address or ``localhost``.

    Raises ``InvalidInput``.
    """
    if text.startswith(("unix:", "/")):
        return _unix(text.removeprefix("unix:").removeprefix("//"), text)
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or not 0 <= int(port[:6]) < 1 << 16:
        raise InvalidInput(
            f"{text!r} is no address to listen on", hint="such as unix:/run/carob/api.sock or 127.0.0.1:15441"
        )
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        return TcpAddress(str(ip_address(host)), int(port))
    except ValueError:
        raise InvalidInput(
            f"{text!r}: {host!r} is no IP address", hint="a service listens on addresses, not on names"
        ) from None


def _unix(path: str, text: str) -> UnixAddress:
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise InvalidInput(f"{text!r} is no absolute path of a socket")
    if len(path.encode("utf-8", "surrogateescape")) > _MOST_PATH_BYTES:
        raise InvalidInput(f"{path!r} is too long for a socket: at most {_MOST_PATH_BYTES} bytes")
    return UnixAddress(path)


def grpc_target(path: str) -> str:
    """How gRPC is told of a socket in the file system: a URI, in which some letters mean more."""
    return f"unix:{quote(path, safe='/', errors='surrogateescape')}"

"""What is to be streamed, kept under a token until its client comes: once, soon, and knowing the token.

The kubelet asks for a URL and sends its client there (CRI v1, Exec, Attach and PortForward).
"""

from __future__ import annotations

import secrets
from time import monotonic

from carob.errors import InvalidInput, OutOfResources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from carob.service.streaming.wanted import Wanted

LIFETIME_S = 60.0
MOST_WAITING = 1000
_TOKEN_BYTES = 24
_LAST_PORT = 65535


class ExecRequest:
    """A process to be run in an app of a pod."""

    __slots__ = ("app", "argv", "pod", "wanted")
    path = "exec"

    def __init__(self, pod: str, app: str, argv: Sequence[str], wanted: Wanted) -> None:
        if not argv:
            raise InvalidInput("an exec needs a command")
        self.pod = pod
        self.app = app
        self.argv = tuple(argv)
        self.wanted = wanted


class AttachRequest:
    """An app's own streams. ``once``: its input ends with that of the first who attaches."""

    __slots__ = ("app", "once", "pod", "wanted")
    path = "attach"

    def __init__(self, pod: str, app: str, wanted: Wanted, *, once: bool = False) -> None:
        self.once = once
        self.pod = pod
        self.app = app
        self.wanted = wanted


class ForwardRequest:
    """Connections to ports of a pod. ``ports`` are those that a WebSocket's channels stand for; SPDY names
    its ports itself.
    """

    __slots__ = ("pod", "ports")
    path = "portforward"

    def __init__(self, pod: str, ports: Sequence[int] = ()) -> None:
        for port in ports:
            if not 0 < port <= _LAST_PORT:
                raise InvalidInput(f"{port} is no port")
        self.pod = pod
        self.ports = tuple(ports)


Request: TypeAlias = "ExecRequest | AttachRequest | ForwardRequest"


class Waiting:
    """The requests whose clients have not come yet."""

    def __init__(self, *, lifetime_s: float = LIFETIME_S, most: int = MOST_WAITING) -> None:
        self._lifetime_s = lifetime_s
        self._most = most
        self._by_path: dict[str, tuple[float, Request]] = {}  # the oldest first

    def add(self, request: Request) -> str:
        """The path of the request's URL. Raises ``OutOfResources`` where too many wait."""
        self._forget_old()
        if len(self._by_path) >= self._most:
            raise OutOfResources(
                f"{self._most} streams wait for their clients", hint="try again within a minute"
            )
        path = f"/{request.path}/{secrets.token_urlsafe(_TOKEN_BYTES)}"
        self._by_path[path] = (monotonic() + self._lifetime_s, request)
        return path

    def take(self, path: str) -> Request | None:
        """The request, for the first who asks; ``None`` for whoever comes later, too late, or guesses."""
        self._forget_old()
        _, request = self._by_path.pop(path, (0.0, None))
        return request

    def _forget_old(self) -> None:
        now_s = monotonic()
        while self._by_path:
            path, (until_s, _) = next(iter(self._by_path.items()))
            if until_s > now_s:
                return
            del self._by_path[path]

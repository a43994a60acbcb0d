"""The names of the protocols, and which of those that a client offers is spoken.

Sources: k8s.io/apimachinery pkg/util/remotecommand and pkg/util/portforward, k8s.io/streaming.
"""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SPDY = "SPDY/3.1"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
FORWARD_SPDY = ("portforward.k8s.io",)
COMMAND_SPDY = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
COMMAND_WEBSOCKET = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
)
FORWARD_WEBSOCKET = (TUNNEL, "v4.channel.k8s.io", "v4.base64.channel.k8s.io")


class Transport(Enum):
    """What a connection is turned into."""

    SPDY = "spdy"
    WEBSOCKET = "websocket"


def choose(offered: Iterable[str], spoken: Sequence[str]) -> str | None:
    """The first of the client's that is spoken here; ``None`` where none is, ``""`` where it offers none.

    Each of ``offered`` is a header's value, in which commas part names.
    """
    names = [name.strip() for value in offered for name in value.split(",") if name.strip()]
    if not names:
        return ""
    return next((name for name in names if name in spoken), None)


def has_documents(protocol: str) -> bool:
    """Whether the error stream carries JSON."""
    return protocol.startswith(("v4.", "v5."))


def has_sizes(protocol: str) -> bool:
    """Whether there is a stream for the terminal's size: since version 3 of SPDY's."""
    return protocol.startswith(("v3.", "v4.", "v5."))

"""Pods without isolation (``isolation="none"``): an image's program on the host itself, as in rkt's *fly*.

Loaded for such pods alone.
"""

from __future__ import annotations

from carob.engine.request.security import Security
from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from carob.engine.request.pod import App

HOST = "host"
_USUAL = {"pid": "private", "ipc": "pod", "uts": "pod"}


def of_the_host(apps: Sequence[App], network: Any, namespaces: Mapping[str, str]) -> dict[str, str]:
    """What such a pod has of the host's: its ``network``, and ``namespaces``, where nothing else was said.

    Raises ``InvalidInput`` for what does not go together, by name.
    """
    if len(apps) != 1:
        raise InvalidInput(
            f"a pod without isolation has one app, not {len(apps)}",
            hint="run the others in pods of their own",
        )
    (app,) = apps
    if app.security is not None and app.security.devices:
        raise InvalidInput("an app without isolation has the host's /dev: devices are not given one by one")
    if network not in (None, HOST) and list(network) != [HOST]:
        raise InvalidInput(
            f"a pod without isolation has the host's network, not {network!r}", hint="leave network out"
        )
    for kind, word in namespaces.items():
        if word not in (HOST, _USUAL.get(kind, HOST)):
            raise InvalidInput(
                f"a pod without isolation has {kind}=host, not {word!r}", hint=f"leave {kind} out"
            )
    return {"network": HOST, **dict.fromkeys(namespaces, HOST)}


def loosened(security: Security | None) -> Security:
    """What the app may do: all that its caller may, and over that what was said."""
    given = security.given() if security is not None else {}
    return Security(**{**given, "privileged": True})

"""From an app's probes to what init is told of them: ports' names and the image's words are looked up."""

from __future__ import annotations

import os

from carob.engine.prepare.named_ports import named_ports
from carob.errors import InvalidInput, Unsupported
from carob.protocol import probing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from carob.engine.prepare.pod import Ingredient
    from carob.engine.request.probes import Probe

_DEFAULTS = {"delay_s": 0.0, "period_s": 10.0, "timeout_s": 1.0, "successes": 1, "failures": 3}
_OF_IMAGES = {"period_s": 30.0, "timeout_s": 30.0}
"""Where a HEALTHCHECK leaves them out (Docker's Dockerfile reference)."""
_LIBRARIES = ("h2", "hpack", "hyperframe")
_SHORTEST_S = 0.1
_NS = 1e9


def planned(data_dir: str, one: Ingredient) -> dict[str, Any]:
    """The launch plan's part of it (``carob.protocol.probing``).

    Raises ``InvalidInput`` for what the image does not have, ``Unsupported`` for gRPC without its library.
    """
    return {role: _planned(data_dir, one, role, probe) for role, probe in one.app.life.probes.items()}


def _planned(data_dir: str, one: Ingredient, role: str, probe: Probe) -> dict[str, Any]:
    found: dict[str, Any] = {**_DEFAULTS, **probe.plan}
    if not found["kind"]:
        found = {**_DEFAULTS, **_of_image(one, role), **probe.plan, "kind": probing.EXEC}
    if isinstance(found.get("port"), str):
        found["port"] = _number(data_dir, one, found["port"])
    if found["kind"] == probing.GRPC:
        found["libraries"] = _libraries()
    return found


def _number(data_dir: str, one: Ingredient, name: str) -> int:
    known = {port[0]: port[1] for port in named_ports(data_dir, [one])}
    if name not in known:
        shown = ", ".join(known) or "none"
        raise InvalidInput(f"image {one.app.image} names no port {name!r}", hint=f"it names {shown}")
    return known[name]


def _of_image(one: Ingredient, role: str) -> dict[str, Any]:
    """What the image's HEALTHCHECK says, in the form of Docker's image specification 1.2."""
    said = (one.image.config.get("config") or {}).get("Healthcheck")
    test = said.get("Test") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(test, list) or not all(isinstance(w, str) for w in test):
        test = []
    match test:
        case ["CMD", program, *rest] if program:
            argv = [program, *rest]
        case ["CMD-SHELL", script] if script:
            argv = ["/bin/sh", "-c", script]
        case _:
            raise InvalidInput(
                f"image {one.app.image} has no HEALTHCHECK for its {role} probe", hint="say what to try"
            )
    assert isinstance(said, dict)
    found: dict[str, Any] = {"argv": argv, **_OF_IMAGES, **_numbers(said)}
    # There a failure while it starts does not count, and nothing is ended; here liveness begins after that.
    if role != probing.LIVENESS:
        found.pop("delay_s", None)
    return found


def _numbers(said: Mapping[str, Any]) -> dict[str, Any]:
    """Times are nanoseconds there; 0 is the default."""
    found: dict[str, Any] = {}
    for key, name in (("Interval", "period_s"), ("Timeout", "timeout_s"), ("StartPeriod", "delay_s")):
        value = said.get(key)
        if isinstance(value, int) and value > 0:
            found[name] = max(value / _NS, _SHORTEST_S)
    retries = said.get("Retries")
    if isinstance(retries, int) and retries > 0:
        found["failures"] = retries
    return found


def _libraries() -> list[str]:
    """The directories that h2 and what it needs are in, for a supervisor, which sees the standard library."""
    from importlib.util import find_spec

    found = []
    for name in _LIBRARIES:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise Unsupported(
                f"gRPC probes need the library {name}, which is not here", hint="pip install 'carob[service]'"
            )
        found.append(os.path.dirname(os.path.dirname(spec.origin)))
    return list(dict.fromkeys(found))

"""The ports that images name, for rkt's ``--port``: loaded only where one is asked for."""

from __future__ import annotations

from carob.engine.images.collection import Images
from carob.spec.appc import ImageManifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from carob.engine.prepare.pod import Ingredient

    Port = tuple[str, int, int, str]


def named_ports(data_dir: str, ingredients: Iterable[Ingredient]) -> list[Port]:
    """Name, first port, count and protocol of each port of each app.

    An image that was an ACI has names of its own for them.
    """
    found: list[Port] = []
    for one in ingredients:
        found += exposed_ports(one.image.config)
        if one.appc is not None:
            manifest = ImageManifest.from_json(Images(data_dir).cat_manifest(one.image.image_id))
            for port in manifest.app.ports if manifest.app is not None else ():
                found.append((str(port.name), port.port, port.count, port.protocol))
    return found


def exposed_ports(image: dict[str, Any]) -> list[Port]:
    """The ports that an OCI image exposes, named as docker2aci does: ``80-tcp``."""
    found: list[Port] = []
    for text in (image.get("config") or {}).get("ExposedPorts") or {}:
        number, _, protocol = str(text).partition("/")
        if number.isascii() and number.isdecimal():
            found.append((f"{number}-{protocol or 'tcp'}", int(number), 1, protocol or "tcp"))
    return found

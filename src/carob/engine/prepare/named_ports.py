"""The ports that images name, for rkt's ``--port``: loaded only where one is asked for."""

from __future__ import annotations

from carob.engine.appc.ports import exposed_ports
from carob.engine.images.collection import Images
from carob.spec.appc import ImageManifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

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

"""Quick looks at what pods cannot be run without, for who asks every few seconds."""

from __future__ import annotations

import os

from carob.errors import CarobError
from carob.network.attachment import NAT
from carob.network.places import PLUGIN_DIRECTORIES
from carob.runtime import driver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def runtimes() -> dict[str, str]:
    """The OCI runtimes that are here, the usual one first: paths by name."""
    found = {}
    for name in driver.KNOWN:
        try:
            found[name] = driver.find(name).path
        except CarobError:
            continue
    return found


def missing_plugins(types: Iterable[str]) -> list[str]:
    """Which of a network's plugins are not here; carob's own always is."""
    return [
        name
        for name in types
        if name != NAT
        and not any(os.access(f"{directory}/{name}", os.X_OK) for directory in PLUGIN_DIRECTORIES)
    ]

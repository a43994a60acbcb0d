"""Images: the store, import, and the layers unpacked for pods to mount.

Importing this package loads nothing; each name is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.layers.trees import Tree as Tree
    from carob.image.layers.trees import Trees as Trees
    from carob.image.store.gc import Collected as Collected
    from carob.image.store.gc import gc as gc
    from carob.image.store.resolved import ImageSummary as ImageSummary
    from carob.image.store.resolved import ResolvedImage as ResolvedImage
    from carob.image.store.store import Store as Store

__all__ = ["Collected", "ImageSummary", "ResolvedImage", "Store", "Tree", "Trees", "gc"]

_MODULES = {
    "Collected": "store.gc",
    "ImageSummary": "store.resolved",
    "ResolvedImage": "store.resolved",
    "Store": "store.store",
    "Tree": "layers.trees",
    "Trees": "layers.trees",
    "gc": "store.gc",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

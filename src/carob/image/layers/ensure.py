"""Making the layers of an image that are not there yet, from blobs that are in the store."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from carob.errors import Cancelled
from carob.image.layers.growing import StoredInput
from carob.image.layers.unpacking import Unpacking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.layers.trees import Trees
    from carob.image.store.layout import Layout
    from carob.image.store.resolved import ResolvedImage


def layers_at_once() -> int:
    """How many layers are unpacked side by side; each takes two threads."""
    return max(1, min(len(os.sched_getaffinity(0)), 4))


def unpack_layers(trees: Trees, layout: Layout, image: ResolvedImage) -> None:
    """Unpacks the missing layers, several at once; raises the first failure, from the bottom up."""
    with (
        Unpacking(trees, image) as unpacking,
        ThreadPoolExecutor(layers_at_once(), "carob-unpack") as threads,
    ):

        def unpack(position: int) -> None:
            try:
                unpacking.layer(
                    position, lambda: StoredInput(layout.open_blob(image.layers[position]), lambda: None)
                )
            except BaseException:
                unpacking.stop()
                raise

        calls = [threads.submit(unpack, position) for position in range(len(image.layers))]
        try:
            errors = [error for call in calls if (error := call.exception()) is not None]
        except BaseException:  # the caller's thread is interrupted
            unpacking.stop()
            raise
        if errors:
            raise next((error for error in errors if not isinstance(error, Cancelled)), errors[0])
        unpacking.finish()

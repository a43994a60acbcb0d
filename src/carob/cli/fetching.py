"""Showing the fetch of an image that a pod needs, if there is one: nothing is loaded for it before."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from carob.engine.images.collection import LayerProgress


class Fetching:
    """In a ``with`` block: the callback that shows the layers, from the first that it is told of."""

    def __init__(self) -> None:
        self._shown: AbstractContextManager[object] | None = None
        self._told: object = None

    def __enter__(self) -> Fetching:
        return self

    def __call__(self, layer: LayerProgress) -> None:
        if self._shown is None:
            from carob.cli.transfer_progress import renderer

            self._shown = renderer("", "image")
            self._told = self._shown.__enter__()
        if callable(self._told):
            self._told(layer)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown.__exit__(kind, error, trace)

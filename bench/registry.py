"""The registry that all fetch from: Debian's, on the loopback interface, with the large images."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bench.figure import Unmeasurable

if TYPE_CHECKING:
    from tests.parts.big_image import BigImages
    from tests.parts.oci_layout import LayoutImage
    from tests.parts.registry import Registry

GZIP, ZSTD = "big:gzip", "big:zstd"
FIRST, SECOND, ALONE = "family:first", "family:second", "family:alone"
"""Two images that share all layers but one each, and one of nothing but the second's own layer."""


class LoadedRegistry:
    """``images`` are made once a checkout, which takes a minute or two; pushing them, some seconds."""

    def __init__(self, directory: str) -> None:
        self._stack = contextlib.ExitStack()
        try:
            with reasons():
                self._fill(directory)
        except BaseException:
            self._stack.close()
            raise

    def _fill(self, directory: str) -> None:
        from tests.parts.big_image import BigImages
        from tests.parts.registry import running_registry

        self.images: BigImages = BigImages()
        os.makedirs(directory)
        self._registry: Registry = self._stack.enter_context(running_registry(Path(directory, "registry")))
        first, second = self.images.family
        alone = _top_layer_alone(second, Path(directory, "alone"))
        for image, name in (
            (self.images.gzip, GZIP),
            (self.images.zstd, ZSTD),
            (first, FIRST),
            (second, SECOND),
            (alone, ALONE),
        ):
            self._registry.push(image.oci, *name.split(":"))

    def address(self, name: str) -> str:
        """``docker://127.0.0.1:PORT/NAME:TAG``, as all contestants take it."""
        return self._registry.reference(*name.split(":"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _top_layer_alone(image: LayoutImage, path: Path) -> LayoutImage:
    """An image of the last layer of another."""
    from tests.parts.oci_layout import LayoutImage, LayoutWriter

    writer = LayoutWriter(path)
    layer = image.layers()[-1]
    blob = writer.blob(image.blob(layer["digest"]).read_bytes(), layer["mediaType"])
    writer.image([blob], diff_ids=image.configuration()["rootfs"]["diff_ids"][-1:], tag="alone")
    writer.save()
    return LayoutImage(path, "alone")


@contextlib.contextmanager
def reasons() -> Iterator[None]:
    """Tells why one of the tests' parts cannot be had as ``Unmeasurable`` does."""
    try:
        from tests.parts.lacking import Lacking
    except ModuleNotFoundError as error:
        raise Unmeasurable(f"{error}: the tests' parts are not in this checkout") from error
    try:
        yield
    except (Lacking, ModuleNotFoundError, RuntimeError) as error:
        raise Unmeasurable(str(error)) from error

"""The images of a pod to be: from the store, and from elsewhere where that is allowed."""

from __future__ import annotations

from carob.errors import NotFound
from carob.spec.address import NAME, parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.images import Callback, Images, Pull
    from carob.image.store.resolved import ResolvedImage


class ImageFinder:
    """Finds images by name, id or address, and fetches them as ``pull`` says (``Images.fetch``).

    An image that is in the store costs nothing but the look into it: what fetches is loaded where needed.
    """

    __slots__ = ("_images", "_insecure", "_progress", "_pull")

    def __init__(
        self, images: Images, pull: Pull, *, insecure: str = "none", progress: Callback | None = None
    ) -> None:
        self._images = images
        self._pull = pull
        self._insecure = insecure
        self._progress = progress

    def __call__(self, text: str) -> ResolvedImage:
        if self._pull in ("missing", "never") and parse_address(text).transport == NAME:
            try:
                return self._images.resolve(text)
            except NotFound:
                if self._pull == "never":
                    raise
        return self._images.fetch(text, pull=self._pull, insecure=self._insecure, progress=self._progress)

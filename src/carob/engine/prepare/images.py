"""The images of a pod to be: from the store, and from elsewhere where that is allowed."""

from __future__ import annotations

from carob.engine.images.collection import can_be_unpacked
from carob.errors import CorruptData, NotFound
from carob.image.store.platforms import check_platform
from carob.spec.address import NAME, parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.images.collection import Callback, Images, Warn
    from carob.engine.request.pod import Pull
    from carob.image.store.resolved import ResolvedImage


class ImageFinder:
    """Finds images by name, id or address, and fetches them as ``pull`` says (``Images.fetch``).

    An image that is in the store costs nothing but the look into it: what fetches is loaded where needed.
    """

    __slots__ = ("_images", "_insecure", "_progress", "_pull", "_warn")

    def __init__(
        self,
        images: Images,
        pull: Pull,
        *,
        insecure: str = "none",
        progress: Callback | None = None,
        warn: Warn | None = None,
    ) -> None:
        self._images = images
        self._pull = pull
        self._insecure = insecure
        self._progress = progress
        self._warn = warn

    def __call__(self, text: str) -> ResolvedImage:
        if self._pull in ("missing", "never") and parse_address(text).transport == NAME:
            try:
                image = self._images.resolve(text)
            except NotFound:
                pass  # an alias leads to the name that it has here
            except CorruptData:
                if self._pull == "never":
                    raise
            else:
                if self._pull == "never" or can_be_unpacked(self._images.data_dir, image):
                    if self._warn is not None:
                        check_platform(image, None, f"image {text}", self._warn)
                    return image
        return self._images.fetch(
            text, pull=self._pull, insecure=self._insecure, progress=self._progress, warn=self._warn
        )

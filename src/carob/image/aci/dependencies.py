"""The order in which an image and what it depends on are laid over each other. Pure but for ``find``.

Source: appc specification, ace.md, "Filesystem Setup": depth first, in the order listed, each over what came
before; an image that is depended on twice is laid twice, each time with the whitelists of the images that
lead to it.
"""

from __future__ import annotations

from carob.errors import CorruptData
from carob.image.aci.whitelist import Whitelist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from carob.image.aci.limits import AciLimits
    from carob.spec.appc.image import Dependency

    class Image(Protocol):
        """One image: ``image_id`` (appc's), and its ``what`` for messages.

        ``dependencies`` and ``path_whitelist`` are those of its manifest; both empty for an image that is
        rendered already. ``layers`` is of how many layers it is itself.
        """

        @property
        def image_id(self) -> str: ...
        @property
        def what(self) -> str: ...
        @property
        def dependencies(self) -> Sequence[Dependency]: ...
        @property
        def path_whitelist(self) -> Sequence[str]: ...
        @property
        def layers(self) -> int: ...


class Step:
    """One image to be laid over what is there, with the whitelists that its files have to pass.

    ``listed_by`` are the ids of the images that the whitelists are from: with ``image`` it says what comes
    out.
    """

    __slots__ = ("image", "listed_by", "whitelists")

    def __init__(self, image: Image, chain: Sequence[tuple[str, Whitelist]]) -> None:
        self.image = image
        self.listed_by = tuple(image_id for image_id, _ in chain)
        self.whitelists = tuple(whitelist for _, whitelist in chain)


def laid_out(top: Image, find: Callable[[Dependency, str], Image], limits: AciLimits) -> list[Step]:
    """The steps, the lowest first; ``find`` gets the image of a dependency, and what asks for it.

    ``CorruptData`` for a dependency on oneself, however many images lie between, and for more depth or layers
    than the limits allow.
    """
    steps: list[Step] = []
    count = 0

    def lay(image: Image, above: tuple[str, ...], chain: tuple[tuple[str, Whitelist], ...]) -> None:
        nonlocal count
        if image.image_id in above:
            raise CorruptData(f"{image.what} depends on itself")
        if len(above) > limits.depth:
            raise CorruptData(f"{image.what}: dependencies more than {limits.depth} deep")
        if image.path_whitelist:
            chain = (*chain, (image.image_id, Whitelist(image.path_whitelist)))
        for dependency in image.dependencies:
            lay(find(dependency, image.what), (*above, image.image_id), chain)
        count += max(image.layers, 1)
        if count > limits.layers:
            raise CorruptData(f"{top.what}: more than {limits.layers} layers with what it depends on")
        steps.append(Step(image, chain))

    lay(top, (), ())
    return steps

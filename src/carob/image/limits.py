"""How much of an image is taken, and how long a registry is waited for: the bounds that a user may set.

Named as in carob.toml, where they are the table ``[images.limits]``. Bounds that nobody needs to move, such
as those of the kernel, are with the code that keeps them.
"""

from __future__ import annotations

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = "images.limits"
_SECONDS = "_s"


class ImageLimits:
    """Bounds, each with a sane default; they do not change.

    - ``layer_bytes``, ``image_bytes``: of one layer, and of all layers of an image, as they are downloaded.
    - ``unpacked_bytes``: of one layer uncompressed, holes of sparse files included; ``ratio``: uncompressed
      bytes for each compressed one, beyond the first GiB; ``entries``: files in one layer.
    - ``archive_bytes``: an archive that has to be copied, as it is compressed or comes through a pipe.
    - ``aci_bytes``, ``aci_unpacked_bytes``: an ACI as it comes, and uncompressed.
    - ``connect_s``, ``headers_s``, ``stall_s``, ``request_s``, ``attempts``: as in
      ``carob.image.registry.limits``.
    """

    __slots__ = (
        "aci_bytes",
        "aci_unpacked_bytes",
        "archive_bytes",
        "attempts",
        "connect_s",
        "entries",
        "headers_s",
        "image_bytes",
        "layer_bytes",
        "ratio",
        "request_s",
        "stall_s",
        "unpacked_bytes",
    )

    layer_bytes: int
    image_bytes: int
    unpacked_bytes: int
    ratio: int
    entries: int
    archive_bytes: int
    aci_bytes: int
    aci_unpacked_bytes: int
    connect_s: float
    headers_s: float
    stall_s: float
    request_s: float
    attempts: int

    def __init__(
        self,
        *,
        layer_bytes: int = 1 << 37,
        image_bytes: int = 1 << 38,
        unpacked_bytes: int = 1 << 38,
        ratio: int = 256,
        entries: int = 2_000_000,
        archive_bytes: int = 1 << 38,
        aci_bytes: int = 1 << 34,
        aci_unpacked_bytes: int = 1 << 36,
        connect_s: float = 15.0,
        headers_s: float = 60.0,
        stall_s: float = 30.0,
        request_s: float = 300.0,
        attempts: int = 5,
    ) -> None:
        set_slot = object.__setattr__
        set_slot(self, "layer_bytes", layer_bytes)
        set_slot(self, "image_bytes", image_bytes)
        set_slot(self, "unpacked_bytes", unpacked_bytes)
        set_slot(self, "ratio", ratio)
        set_slot(self, "entries", entries)
        set_slot(self, "archive_bytes", archive_bytes)
        set_slot(self, "aci_bytes", aci_bytes)
        set_slot(self, "aci_unpacked_bytes", aci_unpacked_bytes)
        set_slot(self, "connect_s", connect_s)
        set_slot(self, "headers_s", headers_s)
        set_slot(self, "stall_s", stall_s)
        set_slot(self, "request_s", request_s)
        set_slot(self, "attempts", attempts)
        for name in self.__slots__:
            _check(name, getattr(self, name))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"limits do not change: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return image_limits, ({name: getattr(self, name) for name in self.__slots__},)

    def __repr__(self) -> str:
        return f"ImageLimits({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


def image_limits(values: Mapping[str, float]) -> ImageLimits:
    """The limits, the defaults but for ``values``; ``InvalidInput`` for an unknown name, or what is no such
    number.
    """
    if not hasattr(values, "keys"):
        raise InvalidInput(f"limits of images are names with numbers, not {values!r}")
    for name in values:
        if name not in ImageLimits.__slots__:
            raise InvalidInput(
                f"{TABLE}: there is no {name!r}", hint=f"there are {', '.join(ImageLimits.__slots__)}"
            )
    return ImageLimits(**values)  # type: ignore[arg-type] # each is checked by its name


def limit_hint(name: str) -> str:
    """What to do about an image that is beyond a limit."""
    return f"if that is right, raise {TABLE}.{name} in carob.toml (or Engine's image_limits)"


def _check(name: str, value: object) -> None:
    kinds = (int, float) if name.endswith(_SECONDS) else (int,)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < float("inf"):
        wanted = "a number of seconds" if name.endswith(_SECONDS) else "a whole number"
        raise InvalidInput(f"{TABLE}.{name} must be {wanted}, more than 0, not {value!r}")

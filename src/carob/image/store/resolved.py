"""What the store answers: one image with all that is needed to run it, and one line of a list."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.spec.oci.descriptor import Descriptor


class ResolvedImage:
    """One image as it is in the store. Immutable; do not change what is inside ``config``.

    - ``image_id``: ``sha256:<hex>``, the digest of its manifest.
    - ``name``: the normal form of the name it was found by, or ``image_id`` where it was found by that.
    - ``config``: the OCI image configuration, checked (image-spec, config.md).
    - ``config_digest``: ``sha256:<hex>``.
    - ``layers``: descriptors of the compressed layers; ``diff_ids``: digests of the uncompressed ones;
      ``chain_ids``: names of the layers stacked so far. All bottom first and of one length.
    - ``architecture`` and ``os``: in Go's words (``amd64``, ``linux``).
    """

    __slots__ = (
        "architecture",
        "chain_ids",
        "config",
        "config_digest",
        "diff_ids",
        "image_id",
        "layers",
        "name",
        "os",
    )

    image_id: str
    name: str
    config: dict[str, Any]
    config_digest: str
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[str, ...]
    chain_ids: tuple[str, ...]
    architecture: str
    os: str

    def __init__(
        self,
        *,
        image_id: str,
        name: str,
        config: dict[str, Any],
        config_digest: str,
        layers: tuple[Descriptor, ...],
        diff_ids: tuple[str, ...],
        chain_ids: tuple[str, ...],
    ) -> None:
        set_slot = object.__setattr__
        set_slot(self, "image_id", image_id)
        set_slot(self, "name", name)
        set_slot(self, "config", config)
        set_slot(self, "config_digest", config_digest)
        set_slot(self, "layers", layers)
        set_slot(self, "diff_ids", diff_ids)
        set_slot(self, "chain_ids", chain_ids)
        set_slot(self, "architecture", config["architecture"])
        set_slot(self, "os", config["os"])

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a ResolvedImage does not change: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (
            self.image_id,
            self.name,
            self.config,
            self.config_digest,
            self.layers,
            self.diff_ids,
            self.chain_ids,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ResolvedImage):
            return NotImplemented
        return (self.image_id, self.name) == (other.image_id, other.name)

    def __hash__(self) -> int:
        return hash(self.image_id)

    def __repr__(self) -> str:
        return f"ResolvedImage({self.name!r}, {self.image_id!r})"


def _rebuild(
    image_id: str,
    name: str,
    config: dict[str, Any],
    config_digest: str,
    layers: tuple[Descriptor, ...],
    diff_ids: tuple[str, ...],
    chain_ids: tuple[str, ...],
) -> ResolvedImage:
    return ResolvedImage(
        image_id=image_id,
        name=name,
        config=config,
        config_digest=config_digest,
        layers=layers,
        diff_ids=diff_ids,
        chain_ids=chain_ids,
    )


class ImageSummary:
    """One image of a list.

    ``names`` in normal form, sorted, perhaps none; ``size_bytes`` of its distinct blobs on disk (what
    it shares with other images counts in each); ``created`` as in its configuration (RFC 3339) or
    ``""``; ``problem`` is ``""``, or why the image cannot be used.
    """

    __slots__ = ("architecture", "created", "image_id", "names", "os", "problem", "size_bytes")

    def __init__(
        self,
        *,
        names: tuple[str, ...],
        image_id: str,
        size_bytes: int = 0,
        created: str = "",
        architecture: str = "",
        os: str = "",
        problem: str = "",
    ) -> None:
        self.names = names
        self.image_id = image_id
        self.size_bytes = size_bytes
        self.created = created
        self.architecture = architecture
        self.os = os
        self.problem = problem

    def __repr__(self) -> str:
        return f"ImageSummary({', '.join(self.names)!r}, {self.image_id!r}, {self.problem!r})"

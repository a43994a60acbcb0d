"""From a name or an image id to an image: a few file reads, on the path of every start."""

from __future__ import annotations

from carob.errors import CarobError, CorruptData, InvalidInput, NotFound
from carob.image.store.platforms import choose_manifest, host_platform
from carob.image.store.resolved import ResolvedImage
from carob.spec.oci.config import chain_ids, diff_ids, parse_config
from carob.spec.oci.descriptor import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    REF_NAME,
    Descriptor,
    parse_descriptor,
)
from carob.spec.oci.document import INDEX_BYTES, list_field, parse_document
from carob.spec.oci.index import check_schema_version, parse_index
from carob.spec.oci.manifest import Manifest, parse_manifest
from carob.spec.reference import DEFAULT_TAG, Reference, is_digest, is_hex, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from carob.image.store.layout import Layout

ID_PREFIX_LENGTH = 4
"""Fewer digits of an image id are not taken as one: they are more likely a mistyped name."""

SOURCE = "carob/source"
"""An annotation in the index of the store: what the image was fetched from, ``docker://...``."""

ROOT = "carob/root"
"""The digest of the source's topmost document, where that is not the manifest: an index, mostly."""

ORIGINAL = "carob/original"
"""The digest of the source's manifest, where the stored one was made from it; its blob is in the store."""

INDEX_DEPTH = 4
"""Indexes in indexes are followed so deep."""

_SHA256 = "sha256:"


def index_entries(layout: Layout) -> list[Any]:
    """The entries of the layout's index as they stand there, unchecked; none where there is no layout."""
    data = layout.read_index()
    if data is None:
        return []
    what = f"{layout.path}/index.json"
    document = parse_document(data, what, limit=INDEX_BYTES)
    check_schema_version(document, what)
    return list_field(document, "manifests", what)


def entry_name(entry: object) -> str:
    """The name an index entry carries, in normal form where it is a name; ``""`` where it has none."""
    name = annotation_of(entry, REF_NAME)
    return normal_name(name) or name


def annotation_of(entry: object, key: str) -> str:
    """One annotation of an unchecked index entry; ``""`` where it has none."""
    annotations = entry.get("annotations") if isinstance(entry, dict) else None
    value = annotations.get(key) if isinstance(annotations, dict) else None
    return value if isinstance(value, str) else ""


def normal_name(text: str) -> str:
    """The normal form of a name; ``""`` for what is none."""
    try:
        return str(parse_reference(text))
    except InvalidInput:
        return ""


def find_image(layout: Layout, name_or_id: str) -> tuple[str, Descriptor]:
    """The name (or id) it was found by, and the descriptor of the manifest for this host.

    ``InvalidInput`` for what is neither name nor id, ``NotFound`` with a hint, ``Conflict`` never.
    """
    entries = index_entries(layout)
    if name_or_id.startswith(_SHA256) and is_hex(digits := name_or_id[len(_SHA256) :]):
        if len(digits) < ID_PREFIX_LENGTH:
            raise InvalidInput(
                f"{name_or_id} is too short for an image id",
                hint=f"give at least {ID_PREFIX_LENGTH} digits, or a name",
            )
        return _find_by_id(layout, entries, digits, name_or_id)
    reference = parse_reference_or_id(name_or_id)
    if reference is not None:
        descriptor = _find_by_name(layout, entries, reference)
        if descriptor is not None:
            return str(reference), descriptor
    if is_hex(name_or_id) and len(name_or_id) >= ID_PREFIX_LENGTH:
        return _find_by_id(layout, entries, name_or_id, name_or_id)
    raise _not_found(entries, reference, name_or_id)


def parse_reference_or_id(text: str) -> Reference | None:
    """The reference, or ``None`` for 64 hexadecimal digits, which only an id can be."""
    if is_digest(_SHA256 + text):
        return None
    return parse_reference(text)


def load_image(layout: Layout, name: str, descriptor: Descriptor) -> ResolvedImage:
    """Reads and checks manifest and configuration."""
    manifest, config = read_documents(layout, descriptor)
    identifiers = diff_ids(config, f"image config {manifest.config.digest}")
    return ResolvedImage(
        image_id=descriptor.digest,
        name=name or descriptor.digest,
        config=config,
        config_digest=manifest.config.digest,
        layers=manifest.layers,
        diff_ids=identifiers,
        chain_ids=chain_ids(identifiers),
    )


def read_documents(layout: Layout, descriptor: Descriptor) -> tuple[Manifest, dict[str, Any]]:
    """Manifest and configuration, each checked, and that they have the same number of layers."""
    manifest = read_manifest(layout, descriptor)
    config = parse_config(layout.read_document(manifest.config), f"image config {manifest.config.digest}")
    count = len(config["rootfs"].get("diff_ids") or ()) if config.get("rootfs") else 0
    if count != len(manifest.layers):
        raise CorruptData(f"image {descriptor.digest}: {len(manifest.layers)} layers but {count} diff ids")
    return manifest, config


def read_manifest(layout: Layout, descriptor: Descriptor) -> Manifest:
    """Reads and checks one manifest."""
    return parse_manifest(layout.read_document(descriptor), f"manifest {descriptor.digest}")


def manifest_for_host(layout: Layout, descriptor: Descriptor) -> Descriptor:
    """Goes from an index to the manifest for this host's platform; a manifest is its own."""
    host = host_platform()
    for _ in range(INDEX_DEPTH):
        if descriptor.media_type in MANIFEST_TYPES:
            return descriptor
        if descriptor.media_type not in INDEX_TYPES:
            raise CorruptData(f"{descriptor.digest} is {descriptor.media_type[:100]!r}, not an image")
        what = f"image index {descriptor.digest}"
        descriptor = choose_manifest(parse_index(layout.read_document(descriptor), what), host, what)
    raise CorruptData(f"image index {descriptor.digest}: indexes in indexes")


def manifest_digest(layout: Layout, entry: object) -> str:
    """The digest of the manifest for this host that an unchecked index entry leads to, or ``""``."""
    try:
        return manifest_for_host(layout, parse_descriptor(entry, "index.json")).digest
    except CarobError:
        return ""


def _find_by_name(layout: Layout, entries: list[Any], reference: Reference) -> Descriptor | None:
    what = f"{layout.path}/index.json"
    if reference.digest:
        return _find(layout, entries, lambda entry: has_repository(entry, reference), reference.digest)
    # The normal form of a name adds a tag and changes nothing else, so none has to be parsed here.
    wanted = (str(reference), reference.repository if reference.tag == DEFAULT_TAG else "")
    # The last of several entries of one name is the one that was added last.
    for entry in reversed(entries):
        name = annotation_of(entry, REF_NAME)
        if name and name in wanted:
            return manifest_for_host(layout, parse_descriptor(entry, what))
    return None


def has_repository(entry: object, reference: Reference) -> bool:
    """Whether the name of an index entry is one of this repository."""
    try:
        return parse_reference(entry_name(entry)).repository == reference.repository
    except InvalidInput:
        return False


def _find_by_id(layout: Layout, entries: list[Any], digits: str, text: str) -> tuple[str, Descriptor]:
    found = _find(layout, entries, lambda entry: True, _SHA256 + digits)
    if found is None:
        raise NotFound(f"there is no image with the id {text}", hint="'carob image list' shows the images")
    return found.digest, found


def _find(
    layout: Layout, entries: list[Any], is_candidate: Callable[[object], bool], prefix: str
) -> Descriptor | None:
    """The manifest, among the candidates, whose digest (or whose index's digest) begins with ``prefix``, or
    that was made from the index or manifest of that digest.
    """
    found: dict[str, Descriptor] = {}
    made_from: dict[str, Descriptor] = {}
    nested = []
    for entry in filter(is_candidate, entries):
        try:
            descriptor = parse_descriptor(entry, f"{layout.path}/index.json")
        except CorruptData:
            continue  # another image's trouble
        if descriptor.media_type in INDEX_TYPES:
            nested.append(descriptor)
        elif descriptor.digest.startswith(prefix):
            found[descriptor.digest] = descriptor
        elif prefix in (descriptor.annotations.get(ROOT), descriptor.annotations.get(ORIGINAL)):
            made_from[descriptor.digest] = descriptor
    for descriptor in nested:
        try:
            inner = manifest_for_host(layout, descriptor)
        except CarobError:
            continue  # another image's trouble
        if inner.digest.startswith(prefix) or descriptor.digest.startswith(prefix):
            found[inner.digest] = inner
    if len(found) > 1:
        raise InvalidInput(
            f"{prefix} is the beginning of {len(found)} image ids", hint="give more digits, or a name"
        )
    if len(made_from) > 1 and not found:  # images for several platforms, of one index
        return choose_manifest(tuple(made_from.values()), host_platform(), f"image index {prefix}")
    return next(iter((found or made_from).values()), None)


def _not_found(entries: list[Any], reference: Reference | None, text: str) -> NotFound:
    message = f"there is no image {str(reference or text)!r} here"
    names = sorted(filter(None, map(entry_name, entries)))
    if reference is not None:
        related = [
            name for name in names if name.partition("@")[0].rpartition(":")[0] == reference.repository
        ]
        if related:
            return NotFound(message, hint=f"there is {', '.join(related[:5])}")
    if names:
        hint = "'carob image list' shows the images that are here"
    else:
        hint = "import one: carob image import PATH --name NAME"
    if reference is not None and not reference.domain:
        hint += f"; a registry's is docker://HOST/{reference}"
    return NotFound(message, hint=hint)

"""Changing the index of a layout: one writer at a time, whole and durable."""

from __future__ import annotations

import os

from carob.errors import CorruptData, NotFound
from carob.image.files.durable import replace_file
from carob.image.files.locks import lock
from carob.image.store.layout import INDEX_FILE, LAYOUT_FILE, TEMPORARY, Layout
from carob.image.store.resolve import entry_name, manifest_digest
from carob.spec.oci.descriptor import INDEX, REF_NAME, Descriptor
from carob.spec.oci.document import INDEX_BYTES, encode_document, list_field, parse_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FIXED_TEMPORARIES = frozenset((INDEX_FILE, LAYOUT_FILE))
"""Temporary names that only who holds the layout's lock uses."""


def update_index(layout: Layout, change: Callable[[list[Any]], list[Any]]) -> None:
    """Replaces the entries by what ``change`` makes of them; unknown keys of the document stay.

    Blobs that a new entry names must be on disk by now. ``CorruptData`` where the index is unreadable:
    nothing is changed then.
    """
    held = lock(layout.path, exclusive=True)
    assert held is not None
    with held:
        data = layout.read_index()
        document: dict[str, Any] = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
        what = f"{layout.path}/{INDEX_FILE}"
        if data is not None:
            document = parse_document(data, what, limit=INDEX_BYTES)
        before = list_field(document, "manifests", what)
        after = change(before[:])
        if after == before and data is not None:
            return
        document["manifests"] = after
        encoded = encode_document(document)
        if len(encoded) > INDEX_BYTES:
            raise CorruptData(f"{what}: would be larger than {INDEX_BYTES} bytes")
        temporary = f"{layout.path}/{TEMPORARY}/{INDEX_FILE}"
        replace_file(os.path.join(layout.path, INDEX_FILE), encoded, temporary=temporary)


def add_name(layout: Layout, name: str, descriptor: Descriptor, *, must_be_there: bool = False) -> None:
    """Gives ``name`` (in normal form) to a manifest; whatever had it before loses it.

    With ``must_be_there``, ``NotFound`` unless the index leads to the manifest by now: its blobs may have
    been collected otherwise.
    """
    named = Descriptor(
        descriptor.media_type,
        descriptor.digest,
        descriptor.size_bytes,
        annotations={**descriptor.annotations, REF_NAME: name},
        platform=descriptor.platform,
    )

    def change(entries: list[Any]) -> list[Any]:
        if must_be_there and not any(
            manifest_digest(layout, entry) == descriptor.digest for entry in entries
        ):
            raise NotFound(f"image {descriptor.digest} was removed meanwhile")
        return [entry for entry in entries if entry_name(entry) != name] + [named.document()]

    update_index(layout, change)

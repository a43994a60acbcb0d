"""Taking names away from images."""

from __future__ import annotations

from carob.errors import CarobError, Conflict, NotFound
from carob.image.store.index import update_index
from carob.image.store.layout import Layout
from carob.image.store.resolve import (
    entry_name,
    find_image,
    has_repository,
    index_entries,
    load_image,
    manifest_digest,
    parse_reference_or_id,
)
from carob.spec.oci.descriptor import Descriptor
from carob.spec.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any


def remove_image(layout: Layout, name_or_id: str, in_use: Collection[str]) -> None:
    """Drops one name, or all entries of an image id; see ``Store.remove``."""
    if _drop_broken(layout, name_or_id):
        return
    found, descriptor = find_image(layout, name_or_id)
    is_by_id = found == descriptor.digest

    def drop(entries: list[Any]) -> list[Any]:
        kept, others = [], 0
        for entry in entries:
            is_ours = manifest_digest(layout, entry) == descriptor.digest
            if is_by_id and is_ours:
                continue
            if not is_by_id and _is_named(entry, found, descriptor):
                continue
            others += is_ours
            kept.append(entry)
        if len(kept) == len(entries):
            raise NotFound(f"there is no image {name_or_id!r} any more")
        if not others:
            _check_unused(layout, descriptor, name_or_id, in_use)
        return kept

    update_index(layout, drop)


def _is_named(entry: object, name: str, descriptor: Descriptor) -> bool:
    if entry_name(entry) == name:
        return True
    # A name with a digest stands for the entry of that repository and digest.
    if "@" not in name or not isinstance(entry, dict) or entry.get("digest") != descriptor.digest:
        return False
    return has_repository(entry, parse_reference(name))


def _check_unused(layout: Layout, descriptor: Descriptor, name: str, in_use: Collection[str]) -> None:
    if not in_use:
        return
    ids = {descriptor.digest}
    try:
        ids.update(load_image(layout, "", descriptor).chain_ids[-1:])
    except CarobError:
        pass  # it cannot be run, so it is good to get rid of it
    if not ids.isdisjoint(in_use):
        raise Conflict(f"image {name} is used by a pod", hint="remove the pod first: carob rm UUID")


def _drop_broken(layout: Layout, name: str) -> bool:
    """Drops an entry by its name where it does not lead to a manifest: it must be possible to get rid of."""
    reference = None if name.startswith("sha256:") else parse_reference_or_id(name)
    if reference is None:
        return False
    wanted = str(reference)
    broken = [
        entry
        for entry in index_entries(layout)
        if entry_name(entry) == wanted and not manifest_digest(layout, entry)
    ]
    if broken:
        update_index(layout, lambda entries: [entry for entry in entries if entry not in broken])
    return bool(broken)

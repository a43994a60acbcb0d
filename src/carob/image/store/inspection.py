"""What there is to know of one image."""

from __future__ import annotations

import os
from typing import Any

from carob.image.layers.trees import Trees
from carob.image.store.layout import Layout
from carob.image.store.resolve import (
    ORIGINAL,
    ROOT,
    SOURCE,
    entry_name,
    find_image,
    index_entries,
    load_image,
    manifest_digest,
    read_manifest,
)
from carob.image.store.resolved import ResolvedImage


class HistoryEntry:
    """One step of how an image was made; texts are ``""`` where the image does not say.

    ``digest`` is that of the layer that the step made, with its ``diff_id``, and its ``size_bytes`` as it is
    compressed; ``""`` and 0 where it made none.
    """

    __slots__ = ("author", "comment", "created", "created_by", "diff_id", "digest", "size_bytes")

    def __init__(
        self,
        *,
        created: str = "",
        created_by: str = "",
        author: str = "",
        comment: str = "",
        digest: str = "",
        diff_id: str = "",
        size_bytes: int = 0,
    ) -> None:
        self.created = created
        self.created_by = created_by
        self.author = author
        self.comment = comment
        self.digest = digest
        self.diff_id = diff_id
        self.size_bytes = size_bytes

    def __repr__(self) -> str:
        return f"HistoryEntry({self.created_by!r}, {self.digest!r})"


def image_history(image: ResolvedImage) -> list[HistoryEntry]:
    """The history in an image's configuration, first step first; layers that it does not tell of follow."""
    layers = iter(zip(image.layers, image.diff_ids, strict=True))
    found = []
    steps = image.config.get("history")
    for step in steps if isinstance(steps, list) else []:
        if not isinstance(step, dict):
            continue
        layer = None if step.get("empty_layer") is True else next(layers, None)
        found.append(
            HistoryEntry(
                created=_text(step, "created"),
                created_by=_text(step, "created_by"),
                author=_text(step, "author"),
                comment=_text(step, "comment"),
                digest=layer[0].digest if layer else "",
                diff_id=layer[1] if layer else "",
                size_bytes=layer[0].size_bytes if layer else 0,
            )
        )
    for descriptor, diff_id in layers:
        found.append(
            HistoryEntry(digest=descriptor.digest, diff_id=diff_id, size_bytes=descriptor.size_bytes)
        )
    return found


def inspect_image(directory: str, layout: Layout, name: str) -> dict[str, Any]:
    """All of an image as values that JSON has; ``directory`` is the data directory.

    ``digests`` are all that it can be named by: of its manifest, and of the index or manifest it was made
    from; ``source`` is where it was fetched, ``""`` for one that was made here; ``size_bytes`` of its blobs.
    """
    found, descriptor = find_image(layout, name)
    image = load_image(layout, found, descriptor)
    manifest = read_manifest(layout, descriptor)
    names = {
        entry_name(entry)
        for entry in index_entries(layout)
        if manifest_digest(layout, entry) == descriptor.digest
    }
    digests = [descriptor.digest, descriptor.annotations.get(ORIGINAL), descriptor.annotations.get(ROOT)]
    sizes = {layer.digest: layer.size_bytes for layer in (*image.layers, manifest.config, descriptor)}
    trees = Trees(directory)
    return {
        "id": image.image_id,
        "names": sorted(names - {""}),
        "digests": list(dict.fromkeys(filter(None, digests))),
        "source": descriptor.annotations.get(SOURCE, ""),
        "created": image.config.get("created") or "",
        "author": image.config.get("author") or "",
        "architecture": image.architecture,
        "variant": image.config.get("variant") or "",
        "os": image.os,
        "size_bytes": sum(sizes.values()),
        "annotations": manifest.annotations,
        "config_digest": image.config_digest,
        "config": image.config.get("config") or {},
        "layers": [
            {
                "digest": layer.digest,
                "media_type": layer.media_type,
                "size_bytes": layer.size_bytes,
                "diff_id": diff_id,
                "chain_id": chain_id,
                "unpacked": os.path.isdir(trees.layer_path(chain_id)),
            }
            for layer, diff_id, chain_id in zip(image.layers, image.diff_ids, image.chain_ids, strict=True)
        ],
    }


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""

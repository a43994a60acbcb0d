"""The list of images; one that is broken is in it and stops nobody."""

from __future__ import annotations

import os

from carob.errors import CarobError
from carob.image.store.layout import Layout
from carob.image.store.resolve import entry_name, index_entries, load_image, manifest_for_host
from carob.image.store.resolved import ImageSummary
from carob.spec.oci.descriptor import Descriptor, parse_descriptor


def list_images(layout: Layout) -> list[ImageSummary]:
    """One summary for each manifest that the index names, sorted by names."""
    names: dict[str, set[str]] = {}
    descriptors: dict[str, Descriptor] = {}
    broken = []
    for entry in index_entries(layout):
        name = entry_name(entry)
        try:
            descriptor = parse_descriptor(entry, f"{layout.path}/index.json")
            descriptor = manifest_for_host(layout, descriptor)
        except CarobError as error:
            digest = entry.get("digest") if isinstance(entry, dict) else ""
            broken.append(
                ImageSummary(names=(name,) if name else (), image_id=str(digest), problem=error.message)
            )
            continue
        descriptors[descriptor.digest] = descriptor
        names.setdefault(descriptor.digest, set()).add(name)
    summaries = [
        _summary(layout, descriptor, tuple(sorted(filter(None, names[digest]))))
        for digest, descriptor in descriptors.items()
    ]
    return sorted(summaries + broken, key=lambda summary: (summary.names, summary.image_id))


def _summary(layout: Layout, descriptor: Descriptor, names: tuple[str, ...]) -> ImageSummary:
    try:
        image = load_image(layout, "", descriptor)
        digests = {descriptor.digest, image.config_digest, *(layer.digest for layer in image.layers)}
        size_bytes = sum(os.stat(layout.blob_path(digest)).st_size for digest in digests)
    except CarobError as error:
        return ImageSummary(names=names, image_id=descriptor.digest, problem=error.message)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
        return ImageSummary(names=names, image_id=descriptor.digest, problem=problem)
    return ImageSummary(
        names=names,
        image_id=image.image_id,
        size_bytes=size_bytes,
        created=image.config.get("created") or "",
        architecture=image.architecture,
        os=image.os,
    )

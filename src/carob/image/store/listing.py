"""The list of images; one that is broken is in it and stops nobody."""

from __future__ import annotations

import os

from carob.errors import CarobError
from carob.image.store.layout import Layout
from carob.image.store.resolve import entry_name, index_entries, manifest_for_host, read_documents
from carob.image.store.resolved import ImageSummary
from carob.spec.oci.descriptor import Descriptor, parse_descriptor


def list_images(layout: Layout) -> list[ImageSummary]:
    """One summary for each manifest that the index names, sorted by names."""
    named, broken = named_manifests(layout)
    sizes: dict[str, int] = {}  # most layers are of several images
    summaries = [_summary(layout, descriptor, names, sizes) for descriptor, names in named]
    return sorted(summaries + broken, key=lambda summary: (summary.names, summary.image_id))


def named_manifests(layout: Layout) -> tuple[list[tuple[Descriptor, tuple[str, ...]]], list[ImageSummary]]:
    """Each manifest that the index names, with its names, sorted; and what is no image."""
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
    named = [
        (descriptor, tuple(sorted(filter(None, names[digest])))) for digest, descriptor in descriptors.items()
    ]
    return named, broken


def _summary(
    layout: Layout, descriptor: Descriptor, names: tuple[str, ...], sizes: dict[str, int]
) -> ImageSummary:
    try:
        manifest, config = read_documents(layout, descriptor)
        digests = {descriptor.digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)}
        for digest in digests:
            if digest not in sizes:
                sizes[digest] = os.stat(layout.blob_path(digest)).st_size
        size_bytes = sum(map(sizes.__getitem__, digests))
    except CarobError as error:
        return ImageSummary(names=names, image_id=descriptor.digest, problem=error.message)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
        return ImageSummary(names=names, image_id=descriptor.digest, problem=problem)
    return ImageSummary(
        names=names,
        image_id=descriptor.digest,
        size_bytes=size_bytes,
        created=config.get("created") or "",
        architecture=config["architecture"],
        os=config["os"],
    )

"""Taking in all images of one archive, each under its own names."""

from __future__ import annotations

import os

from carob.errors import InvalidInput
from carob.image.archives.kind import address_of_path
from carob.image.fetch.fetch import fetch
from carob.image.fetch.pull import FetchOptions
from carob.image.layers.trees import Trees
from carob.image.sources.docker_archive import DockerArchiveSource
from carob.image.sources.open import open_all
from carob.image.store.blobs import create_layout
from carob.image.store.layout import TEMPORARY
from carob.image.store.resolved import ResolvedImage
from carob.image.store.store import Store
from carob.spec.address import DOCKER_ARCHIVE, OCI, OCI_ARCHIVE, TAR


def load_images(
    store: Store, trees: Trees | None, path: str, options: FetchOptions | None = None
) -> list[ResolvedImage]:
    """The images, one for each name. ``InvalidInput`` for what is no archive of images, and where an image
    has no name: that one can be fetched under a name that is given.
    """
    options = options or FetchOptions()
    address = address_of_path(path)
    is_pipe = address.transport == TAR and not os.path.isfile(path)
    if not is_pipe and address.transport not in (OCI, OCI_ARCHIVE, DOCKER_ARCHIVE):
        raise InvalidInput(
            f"{path} is no archive of images", hint="'carob image import' takes root file systems"
        )
    create_layout(store.layout)
    sources = open_all(
        address, workplace=f"{store.layout.path}/{TEMPORARY}", cancel=options.cancel, limits=options.limits
    )
    loaded = []
    try:
        for source in sources:
            if not source.reference:
                raise InvalidInput(
                    f"{source.name} has no name", hint=f"give it one: carob fetch {source.name} --name NAME"
                )
        for source in sources:
            image = fetch(
                store,
                trees,
                source,
                platform=options.platform,
                progress=options.progress,
                jobs=options.jobs,
                accept=options.accept,
                limits=options.limits,
                cancel=options.cancel,
                warn=options.warn,
            )
            loaded.append(image)
            if isinstance(source, DockerArchiveSource):
                loaded += [store.tag(image.name, tag) for tag in source.tags if tag != image.name]
    finally:
        for source in sources:
            source.close()
    return loaded

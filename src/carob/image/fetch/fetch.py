"""The one pipeline that takes images in: documents first, then layers, several at once, names last.

A layer's bytes are written to the store as they come, hashed as they pass, and read back at once by whoever
unpacks them. Blobs that no index names yet are held by locks until the name is written; whatever ends this
early, SIGKILL included, leaves partial downloads, which the next fetch goes on with, and whole objects, which
it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from carob.errors import CarobError, CorruptData, InvalidInput, OutOfResources
from carob.image.cancel import Cancellation
from carob.image.failures import translate
from carob.image.fetch.documents import ManifestDocument, fetch_config, read_manifest_document, store_manifest
from carob.image.fetch.layers import fetched_layers
from carob.image.fetch.progress import Callback, Progress
from carob.image.layers.trees import Trees
from carob.image.limits import ImageLimits, limit_hint
from carob.image.sources.source import Converted, Source
from carob.image.store.blobs import HeldBlobs
from carob.image.store.index import add_name
from carob.image.store.platforms import check_platform, host_platform
from carob.image.store.resolve import ORIGINAL, ROOT, SOURCE, load_image
from carob.image.store.resolved import ResolvedImage
from carob.image.store.store import Store, new_image_name
from carob.spec.oci.config import chain_ids, diff_ids
from carob.spec.oci.descriptor import Descriptor, Platform
from carob.spec.reference import Reference, parse_reference

JOBS = 4
"""So many layers are downloaded at once."""


Accept = Callable[[Source, ManifestDocument], object]
"""A policy: raises ``Rejected`` for an image that is not to be taken in."""

Warn = Callable[[str], object]
"""Is told, in a line, what is odd about an image that is taken in all the same."""


def fetch(
    store: Store,
    trees: Trees | None,
    source: Source,
    *,
    name: str = "",
    platform: Platform | None = None,
    progress: Callback | None = None,
    jobs: int = JOBS,
    accept: Accept | None = None,
    limits: ImageLimits | None = None,
    cancel: Cancellation | None = None,
    warn: Warn | None = None,
) -> ResolvedImage:
    """Takes an image in, and unpacks its layers unless ``trees`` is ``None``.

    ``name`` is what it is called here, the source's own reference where it is empty; an image of this name
    loses it. ``platform`` is this host's if none is given: of an index the image for it is taken, and one
    that is for another platform only is refused where ``platform`` is given; else ``warn`` is told.
    ``accept`` is asked when the documents are known and no layer is. ``progress`` is called from threads of
    the fetch, one call at a time.

    Raises what the source raises, and ``CorruptData``, ``InvalidInput``, ``Unsupported``, ``OutOfResources``,
    ``Rejected``, ``Cancelled``: no name is given then, and what was taken in so far waits for the next time
    or for ``gc``. The source stays open, unless the fetch fails or is called off.
    """
    if jobs < 1:
        raise InvalidInput(f"{jobs} downloads at once", hint="1 or more")
    cancel = cancel or Cancellation()
    try:
        with closed_when_cancelled(source, cancel), HeldBlobs(store.layout) as blobs:
            target = _target(name, source)
            fetching = _Fetch(store, trees, source, blobs, cancel)
            return fetching.run(
                target, platform, progress, jobs, accept, limits or ImageLimits(), warn or _silent
            )
    except OSError as error:
        raise translate(error, f"fetching {source.name}") from error


@contextmanager
def closed_when_cancelled(source: Source, cancel: Cancellation) -> Iterator[None]:
    """Within the block ``cancel`` closes the source, so that nothing waits for it; and what is closed may
    raise what it likes: it is ``Cancelled``.
    """
    try:
        with cancel.calls(source.close):
            cancel.check()
            yield
    except (CarobError, OSError):
        cancel.check()
        raise


def stored_name(reference: Reference) -> str:
    """The name under which an image of a registry is stored.

    Of one that was asked for by its digest, that is repository and digest: the tag was not looked up, so
    what has it stays as it is.
    """
    return str(Reference(reference.repository, "", reference.digest) if reference.digest else reference)


def _target(name: str, source: Source) -> str:
    if name:
        return new_image_name(name)
    if not source.reference:
        raise InvalidInput(f"{source.name} has no name of its own", hint="give one: --name NAME")
    return stored_name(parse_reference(source.reference))


def _silent(_: str) -> None:
    """Nobody wants to know."""


class _Fetch:
    def __init__(
        self, store: Store, trees: Trees | None, source: Source, blobs: HeldBlobs, cancel: Cancellation
    ) -> None:
        self._store = store
        self._trees = trees
        self._source = source
        self._blobs = blobs
        self._cancel = cancel

    def run(
        self,
        target: str,
        platform: Platform | None,
        progress: Callback | None,
        jobs: int,
        accept: Accept | None,
        limits: ImageLimits,
        warn: Warn,
    ) -> ResolvedImage:
        found = read_manifest_document(self._source, platform or host_platform(), self._blobs, self._cancel)
        self._check_pinned(found)
        _check_sizes(found, self._source.name, limits)
        if accept is not None:
            accept(self._source, found)
        config = fetch_config(self._source, found.manifest, self._blobs, self._cancel)
        image = self._image(target, found, config)
        if found.descriptor.platform is None:  # an index has not said
            check_platform(image, platform, self._source.name, warn)
        if isinstance(self._source, Converted) and (keys := self._source.left_out):
            warn(f"{self._source.name} asks for {', '.join(keys)}, which the image here does not have")
        told = Progress(found.manifest.layers, progress)
        told.begin()
        with fetched_layers(self._source, self._blobs, self._trees, image, told, jobs, self._cancel):
            stored = store_manifest(self._blobs, found, self._cancel)
            self._blobs.flush()
            self._cancel.check()
            add_name(self._store.layout, target, self._described(stored, found))
        return load_image(self._store.layout, target, stored)

    def _check_pinned(self, found: ManifestDocument) -> None:
        """The digest that was asked for is the topmost document's, whatever the source sent."""
        pinned = self._source.reference.partition("@")[2]
        if pinned and pinned != found.root.digest:
            raise CorruptData(f"{self._source.name}: the source has the digest {found.root.digest}")

    def _image(self, name: str, found: ManifestDocument, config: dict[str, Any]) -> ResolvedImage:
        """The image as it will be: enough to unpack it."""
        identifiers = diff_ids(config, self._source.name)
        return ResolvedImage(
            image_id=found.descriptor.digest,
            name=name,
            config=config,
            config_digest=found.manifest.config.digest,
            layers=found.manifest.layers,
            diff_ids=identifiers,
            chain_ids=chain_ids(identifiers),
        )

    def _described(self, stored: Descriptor, found: ManifestDocument) -> Descriptor:
        """The entry of the index: what it was fetched from, and the other digests it is known by."""
        annotations = {SOURCE: self._source.name}
        if found.root.digest != stored.digest:
            annotations[ROOT] = found.root.digest
        if found.descriptor.digest != stored.digest:
            annotations[ORIGINAL] = found.descriptor.digest
        return Descriptor(
            stored.media_type,
            stored.digest,
            stored.size_bytes,
            annotations=annotations,
            platform=stored.platform,
        )


def _check_sizes(found: ManifestDocument, name: str, limits: ImageLimits) -> None:
    sizes: dict[str, int] = {}
    for layer in found.manifest.layers:
        if layer.size_bytes > limits.layer_bytes:
            raise OutOfResources(
                f"{name}: layer {layer.digest} has {layer.size_bytes} bytes, more than {limits.layer_bytes}",
                hint=limit_hint("layer_bytes"),
            )
        if sizes.setdefault(layer.digest, layer.size_bytes) != layer.size_bytes:
            raise CorruptData(f"{name}: layer {layer.digest} stands there with two sizes")
    if sum(sizes.values()) > limits.image_bytes:
        raise OutOfResources(
            f"{name}: its layers have {sum(sizes.values())} bytes, more than {limits.image_bytes}",
            hint=limit_hint("image_bytes"),
        )

"""Getting an image by a policy: from the store, or from where its address leads."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable

from carob.errors import CorruptData, InvalidInput, NotFound
from carob.image.cancel import Cancellation
from carob.image.fetch.fetch import JOBS, Accept, Warn, closed_when_cancelled, fetch, stored_name
from carob.image.fetch.progress import Callback
from carob.image.layers.trees import Trees
from carob.image.limits import ImageLimits
from carob.image.sources.open import Remotes, is_rootfs, open_source
from carob.image.sources.source import Headed, Source
from carob.image.store.blobs import create_layout
from carob.image.store.layout import TEMPORARY
from carob.image.store.platforms import host_platform, runs_on
from carob.image.store.resolve import ORIGINAL, ROOT, find_image, load_image, parse_reference_or_id
from carob.image.store.resolved import ResolvedImage
from carob.image.store.store import Store
from carob.spec import address as addresses
from carob.spec.address import ImageAddress
from carob.spec.discovery import oci_reference, parse_appc_name
from carob.spec.oci.descriptor import Descriptor, Platform
from carob.spec.reference import Reference, parse_reference


class PullPolicy(enum.Enum):
    """When the place that an image comes from is asked.

    - ``NEW``: always, and the image is fetched where it is another one now.
    - ``MISSING``: only where it is not in the store, whole and for the platform.
    - ``NEVER``; ``ALWAYS``: fetched in any case; what is there already is not downloaded again.
    """

    NEW = "new"
    MISSING = "missing"
    NEVER = "never"
    ALWAYS = "always"


Aliases = Callable[[Reference], Reference | None]
"""From a name without a domain to the one of a registry it stands for, if it does."""


class FetchOptions:
    """What ``fetch`` is told beside what to fetch; see there. ``accept_rootfs`` is asked about the address of
    a root file system, before it is read.
    """

    __slots__ = (
        "accept",
        "accept_rootfs",
        "cancel",
        "jobs",
        "limits",
        "platform",
        "progress",
        "remotes",
        "warn",
    )

    def __init__(
        self,
        *,
        platform: Platform | None = None,
        remotes: Remotes | None = None,
        progress: Callback | None = None,
        jobs: int = JOBS,
        accept: Accept | None = None,
        accept_rootfs: Callable[[ImageAddress], object] | None = None,
        limits: ImageLimits | None = None,
        cancel: Cancellation | None = None,
        warn: Warn | None = None,
    ) -> None:
        self.platform = platform
        self.remotes = remotes
        self.progress = progress
        self.jobs = jobs
        self.accept = accept
        self.accept_rootfs = accept_rootfs
        self.limits = limits
        self.cancel = cancel
        self.warn = warn


def pull(
    store: Store,
    trees: Trees | None,
    address: ImageAddress,
    *,
    policy: PullPolicy = PullPolicy.MISSING,
    name: str = "",
    aliases: Aliases | None = None,
    options: FetchOptions | None = None,
) -> ResolvedImage:
    """The image of an address, fetched, and unpacked unless ``trees`` is ``None``, if the policy says so.

    A bare name is looked up in the store, then among the aliases; a name with a domain is an image of that
    registry. Nothing is guessed: any other name that is not in the store is ``NotFound``. ``name`` is what an
    image that is fetched is called here, in place of its own.
    """
    options = options or FetchOptions()
    if address.transport == addresses.NAME:
        local = _local(store, address.location, options.platform, policy)
        elsewhere = _elsewhere(address.location, aliases)
        if elsewhere is None:
            return local.unpacked(trees) if local is not None else store.resolve(address.location)
        if local is not None and policy in (PullPolicy.MISSING, PullPolicy.NEVER):
            return local.unpacked(trees)
        address = ImageAddress(addresses.DOCKER, str(elsewhere))
    elif address.transport == addresses.DOCKER:
        elsewhere = _elsewhere(address.location, aliases)
        if elsewhere is None:
            raise InvalidInput(
                f"{address}: which registry?", hint="docker://HOST/NAME, or an alias for the name"
            )
        address = ImageAddress(addresses.DOCKER, str(elsewhere))
    known_as = name or _name_here(address)
    local = _local(store, known_as, options.platform, policy) if known_as else None
    if policy is PullPolicy.NEVER:
        if local is None:
            raise NotFound(
                f"there is no image {(known_as or str(address))!r} here",
                hint="by --pull=never none is fetched",
            )
        return local.unpacked(trees)
    match policy:
        case PullPolicy.MISSING if local is not None:
            return local.unpacked(trees)
        case PullPolicy.NEW if local is not None and _is_pinned(local, address):
            return local.unpacked(trees)
    return take_in(store, trees, address, policy=policy, name=name, options=options)


def take_in(
    store: Store,
    trees: Trees | None,
    address: ImageAddress,
    *,
    policy: PullPolicy = PullPolicy.ALWAYS,
    name: str = "",
    options: FetchOptions | None = None,
) -> ResolvedImage:
    """Asks the place that an image comes from, whatever is in the store; fetches it unless by ``policy`` what
    is in the store will do. A root file system is imported.
    """
    options = options or FetchOptions()
    if is_rootfs(address):
        if not name:
            raise InvalidInput(f"{address} has no name of its own", hint="give one: --name NAME")
        if options.accept_rootfs is not None:
            options.accept_rootfs(address)
        return store.import_rootfs(
            address.location,
            name=name,
            platform=options.platform,
            limits=options.limits,
            trees=trees,
            cancel=options.cancel,
        )
    create_layout(store.layout)
    workplace = f"{store.layout.path}/{TEMPORARY}"
    cancel = options.cancel or Cancellation()
    source = open_source(
        address,
        workplace=workplace,
        remotes=options.remotes,
        cancel=cancel,
        limits=options.limits,
    )
    try:
        with closed_when_cancelled(source, cancel):
            known_as = name or source.reference
            local = _local(store, known_as, options.platform, policy) if known_as else None
            match policy:
                case PullPolicy.MISSING | PullPolicy.NEVER if local is not None:
                    return local.unpacked(trees)
                case PullPolicy.NEW if local is not None and _what_is_there(source).digest in local.digests:
                    return local.unpacked(trees)
        return fetch(
            store,
            trees,
            source,
            name=name,
            platform=options.platform,
            progress=options.progress,
            jobs=options.jobs,
            accept=options.accept,
            limits=options.limits,
            cancel=cancel,
            warn=options.warn,
        )
    finally:
        source.close()


class _Local:
    """An image of the store, and all digests it is known by."""

    def __init__(self, image: ResolvedImage, descriptor: Descriptor) -> None:
        self.image = image
        annotations = descriptor.annotations
        self.digests = {descriptor.digest, annotations.get(ROOT, ""), annotations.get(ORIGINAL, "")}

    def unpacked(self, trees: Trees | None) -> ResolvedImage:
        """The image, of which layers that are missing are unpacked unless ``trees`` is ``None``."""
        if trees is not None:
            trees.ensure(self.image)
        return self.image


def _what_is_there(source: Source) -> Descriptor:
    """The topmost document, without its bytes where the source tells of it that way."""
    return source.head() if isinstance(source, Headed) else source.root()[0]


def _local(store: Store, name: str, platform: Platform | None, policy: PullPolicy) -> _Local | None:
    """The image of a name, if it is here, whole, and for the platform that was asked for, if one was.

    Else one for another platform than this host's will do only where there is no better one, as far as is
    known: not where it was chosen from an index, which may be asked.
    """
    try:
        found, descriptor = find_image(store.layout, name)
        image = load_image(store.layout, found, descriptor)
    except (NotFound, CorruptData):
        return None  # a broken one is fetched again
    own = descriptor.platform or Platform(image.architecture, image.os, image.config.get("variant") or "")
    wanted = platform
    if wanted is None and policy is not PullPolicy.NEVER and _is_of_index(descriptor):
        wanted = host_platform()
    if wanted is not None and not runs_on(own, wanted):
        return None
    return _Local(image, descriptor) if _is_whole(store, image) else None


def _is_of_index(descriptor: Descriptor) -> bool:
    root = descriptor.annotations.get(ROOT, "")
    return root not in ("", descriptor.annotations.get(ORIGINAL))


def _is_whole(store: Store, image: ResolvedImage) -> bool:
    for layer in image.layers:
        try:
            if os.stat(store.layout.blob_path(layer.digest)).st_size != layer.size_bytes:
                return False
        except FileNotFoundError:
            return False
    return True


def _elsewhere(text: str, aliases: Aliases | None) -> Reference | None:
    """The name of a registry's image that a name stands for."""
    reference = parse_reference_or_id(text) if not text.startswith("sha256:") else None
    if reference is None or reference.domain:
        return reference
    return aliases(reference) if aliases is not None else None


def _name_here(address: ImageAddress) -> str:
    """The name that an image of an address gets by itself, where the address says it."""
    match address.transport:
        case addresses.DOCKER:
            return stored_name(parse_reference(address.location))
        case addresses.APPC:
            wanted = parse_appc_name(address.location)
            return oci_reference(wanted.name, dict(wanted.labels).get("version", ""))
    return ""


def _is_pinned(local: _Local, address: ImageAddress) -> bool:
    """Whether a digest was asked for: it cannot have moved."""
    digest = address.location.partition("@")[2] if address.transport == addresses.DOCKER else ""
    return bool(digest) and digest in local.digests

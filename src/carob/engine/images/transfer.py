"""Images in and out: what ``Images`` does with the outside. Loaded when that is asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from carob.engine.images.collection import trees
from carob.engine.images.elsewhere import Elsewhere
from carob.errors import InvalidInput
from carob.image.fetch.pull import FetchOptions, PullPolicy, pull
from carob.image.store.platforms import parse_platform
from carob.image.store.resolve import SOURCE, find_image, load_image
from carob.image.store.store import Store
from carob.spec.address import DOCKER, NAME, ImageAddress, parse_address
from carob.spec.reference import Reference, parse_reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carob.image.cancel import Cancellation
    from carob.image.fetch.fetch import Warn
    from carob.image.fetch.progress import Callback
    from carob.image.limits import ImageLimits
    from carob.image.registry.credentials import Credentials
    from carob.image.registry.push import PushCallback
    from carob.image.sources.source import BlobReader
    from carob.image.store.resolved import ResolvedImage
    from carob.spec.oci.descriptor import Descriptor


class Options:
    """What calls that take images in are told: see ``Images.fetch``."""

    __slots__ = ("cancel", "credentials", "insecure", "limits", "platform", "progress", "warn")

    def __init__(
        self,
        *,
        limits: ImageLimits | None,
        insecure: str | Iterable[str],
        progress: Callback | None = None,
        cancel: Cancellation | None = None,
        warn: Warn | None = None,
        platform: str = "",
        credentials: Credentials | None = None,
    ) -> None:
        self.credentials = credentials
        self.limits = limits
        self.insecure = insecure
        self.progress = progress
        self.cancel = cancel
        self.warn = warn
        self.platform = platform

    def of_fetch(self, elsewhere: Elsewhere) -> FetchOptions:
        """The same in the pipeline's terms."""
        return FetchOptions(
            platform=parse_platform(self.platform) if self.platform else None,
            remotes=elsewhere.remotes(),
            accept=elsewhere.accept,
            accept_rootfs=elsewhere.accept_rootfs,
            progress=self.progress,
            limits=self.limits,
            cancel=self.cancel,
            warn=self.warn,
        )


def credentials(
    username: str, password: str, *, basic: str = "", identity_token: str = "", registry_token: str = ""
) -> Credentials | None:
    """Who a caller is to a registry; ``None`` where nothing is given. ``basic`` is ``user:password`` in
    base64, which docker's and Kubernetes' files have.

    Raises ``InvalidInput``.
    """
    from carob.image.registry.credentials import Credentials

    if basic and not (username or password):
        from base64 import b64decode

        try:
            username, colon, password = b64decode(basic, validate=True).decode().rstrip("\0").partition(":")
        except ValueError:
            colon = ""
        if not colon:
            raise InvalidInput("the credentials for the registry are no user and password in base64")
    if not (username or password or identity_token or registry_token):
        return None
    return Credentials(username, password, identity_token=identity_token, registry_token=registry_token)


def alias(data_dir: str, name: str) -> str:
    """What registries.toml has a name without a domain stand for; ``""`` for nothing."""
    return str(Elsewhere(data_dir).alias(parse_reference(name)) or "")


def fetch(
    data_dir: str, address: str, options: Options, *, name: str, policy: str, unpack: bool
) -> ResolvedImage:
    """See ``Images.fetch``."""
    elsewhere = Elsewhere(
        data_dir, insecure=options.insecure, credentials=options.credentials, limits=options.limits
    )
    try:
        wanted = PullPolicy(policy)
    except ValueError:
        words = ", ".join(one.value for one in PullPolicy)
        raise InvalidInput(f"there is no pull policy {policy!r}", hint=f"one of {words}") from None
    return pull(
        Store(data_dir),
        trees(data_dir, options.limits) if unpack else None,
        parse_address(address),
        policy=wanted,
        name=name,
        aliases=elsewhere.alias,
        options=options.of_fetch(elsewhere),
    )


def load(data_dir: str, path: str, options: Options) -> list[ResolvedImage]:
    """See ``Images.load``."""
    from carob.image.archives.load import load_images

    elsewhere = Elsewhere(data_dir, insecure=options.insecure, limits=options.limits)
    return load_images(Store(data_dir), trees(data_dir, options.limits), path, options.of_fetch(elsewhere))


def import_path(data_dir: str, path: str, options: Options, *, name: str) -> ResolvedImage:
    """See ``Images.import_path``."""
    elsewhere = Elsewhere(data_dir, insecure=options.insecure, limits=options.limits)
    return Store(data_dir).import_path(path, name=name, options=options.of_fetch(elsewhere))


def push(
    data_dir: str,
    name: str,
    destination: str,
    *,
    insecure: str | Iterable[str],
    progress: PushCallback | None,
    limits: ImageLimits | None,
) -> str:
    """See ``Images.push``."""
    from carob.image.registry.client import Registry
    from carob.image.registry.credentials import Keyring
    from carob.image.registry.limits import registry_limits
    from carob.image.registry.push import Outgoing, push_image

    store = Store(data_dir)
    found, descriptor = find_image(store.layout, name)
    image = load_image(store.layout, found, descriptor)
    elsewhere = Elsewhere(data_dir, insecure=insecure, limits=limits)
    target = _registry_name(destination or found, elsewhere)
    endpoint = elsewhere.configuration.origin(target.repository)
    registry = Registry(endpoint, find_credentials=Keyring().find, limits=registry_limits(limits))
    outgoing = Outgoing(
        root=(descriptor, store.layout.read_document(descriptor)),
        blobs=tuple(dict.fromkeys((_config_of(store, descriptor), *image.layers))),
    )
    try:
        push_image(
            registry,
            endpoint.repository,
            [target.tag] if target.tag else [],
            outgoing,
            lambda blob, offset: _StoredBlob(store.layout.open_blob(blob), offset),
            mount_from=_repositories_beside(descriptor, endpoint.host),
            progress=progress,
        )
    finally:
        registry.close()
    return f"{target.repository}@{descriptor.digest}"


def _registry_name(text: str, elsewhere: Elsewhere) -> Reference:
    """The name on a registry that an image is pushed to: ``docker://host/…``, ``host/…``, or an alias."""
    address: ImageAddress = parse_address(text)
    if address.transport not in (DOCKER, NAME):
        raise InvalidInput(
            f"{text!r} is not on a registry", hint="carob image save writes archives and layouts"
        )
    reference = parse_reference(address.location)
    if not reference.domain:
        full = elsewhere.alias(reference)
        if full is None:
            raise InvalidInput(f"{text!r} does not say which registry", hint="push NAME docker://HOST/NAME")
        reference = full
    if reference.digest:
        raise InvalidInput(f"{text!r}: an image is pushed to a tag, not to a digest")
    return reference


def _config_of(store: Store, descriptor: Descriptor) -> Descriptor:
    from carob.image.store.resolve import read_manifest

    return read_manifest(store.layout, descriptor).config


def _repositories_beside(descriptor: Descriptor, host: str) -> list[str]:
    """The repository of the same registry that the image came from, if it did: its blobs need no transfer."""
    source = descriptor.annotations.get(SOURCE, "").removeprefix(f"{DOCKER}://")
    domain, slash, _ = source.partition("/")
    if not slash or domain != host:
        return []
    return [parse_reference(source).repository.partition("/")[2]]


class _StoredBlob:
    """A blob of the store as the registry's client reads it; a ``BlobReader``."""

    def __init__(self, fd: int, offset: int) -> None:
        self.offset = offset
        self._fd = fd
        if offset:
            os.lseek(fd, offset, os.SEEK_SET)

    def read(self, size: int) -> bytes:
        return os.read(self._fd, size)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


if TYPE_CHECKING:
    _is_reader: type[BlobReader] = _StoredBlob

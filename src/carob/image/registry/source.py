"""An image on a registry as a source for the pipeline: the mirrors first, then the registry itself."""

from __future__ import annotations

import threading

from carob.errors import (
    CarobError,
    CorruptData,
    NotFound,
    PermissionDenied,
    Rejected,
    TimedOut,
    Unavailable,
    Unsupported,
)
from carob.image.registry.blob import BlobStream, begin_blob
from carob.image.registry.client import Registry
from carob.image.registry.credentials import Keyring
from carob.image.registry.limits import DEFAULT_LIMITS
from carob.spec.address import DOCKER, ImageAddress
from carob.spec.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from carob.image.registry.answer import Answer
    from carob.image.registry.configuration import Configuration
    from carob.image.registry.credentials import Credentials
    from carob.image.registry.endpoint import Endpoint
    from carob.image.registry.limits import Limits
    from carob.image.registry.proxies import Proxies
    from carob.spec.oci.descriptor import Descriptor
    from carob.spec.reference import Reference

    Found = TypeVar("Found")

_MIRROR_ATTEMPTS = 2
"""A place after which there is another is not waited for long."""

_ELSEWHERE = (NotFound, Unavailable, TimedOut, PermissionDenied, CorruptData, Rejected, Unsupported)
"""What makes a source look at the next place: a mirror that is empty, away, shut or broken."""


class RegistrySource:
    """One image, or index, by tag or digest: a `carob.image.sources.source.Source`. For many threads.

    ``credentials`` are for the registry itself; mirrors get what the ``keyring`` has for them, and nothing
    else. ``configuration`` is registries.toml's (``carob.image.registry.configuration.load``). Raises as
    ``Configuration.endpoints``.
    """

    address: ImageAddress
    name: str
    reference: str

    def __init__(
        self,
        reference: Reference,
        configuration: Configuration,
        *,
        keyring: Keyring | None = None,
        credentials: Credentials | None = None,
        limits: Limits = DEFAULT_LIMITS,
        proxies: Proxies | None = None,
    ) -> None:
        self.address = ImageAddress(DOCKER, str(reference))
        self.name = str(self.address)
        self.reference = str(reference)
        self._wanted = reference.digest or reference.tag
        ring = keyring or Keyring(limits=limits)
        self._places: list[tuple[Registry, Endpoint]] = []
        endpoints = configuration.endpoints(reference)
        for endpoint in endpoints:
            is_last = endpoint is endpoints[-1]
            registry = Registry(
                endpoint,
                find_credentials=_constantly(credentials) if is_last and credentials else ring.find,
                limits=limits if is_last else _impatient(limits),
                proxies=proxies,
            )
            self._places.append((registry, endpoint))
        self._limits = limits
        self._lock = threading.Lock()
        self._gave: dict[str, set[Endpoint]] = {}
        self._distrusted: list[tuple[Registry, Endpoint]] = []

    def __repr__(self) -> str:
        return f"RegistrySource({self.name!r})"

    def root(self) -> tuple[Descriptor, bytes]:
        """The manifest or index; ``Unsupported`` where it is neither."""

        def get(registry: Registry, endpoint: Endpoint) -> tuple[Descriptor, bytes]:
            found = registry.manifest(endpoint.repository, self._wanted)
            _check_is_image(found[0], self.name)
            return found

        return self._first(get)

    def head(self) -> Descriptor:
        """What the name stands for now, without fetching it where the registry allows."""

        def get(registry: Registry, endpoint: Endpoint) -> Descriptor:
            return registry.head_manifest(endpoint.repository, self._wanted)

        return self._first(get)

    def document(self, descriptor: Descriptor) -> bytes:
        """A manifest by its digest, or a configuration, which is a blob; checked."""

        def get(registry: Registry, endpoint: Endpoint) -> bytes:
            if descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES:
                return registry.manifest(endpoint.repository, descriptor.digest)[1]
            return registry.blob_document(endpoint.repository, descriptor)

        return self._first(get)

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobStream:
        """Begins to read a layer. What breaks off is gone on with, at another place if need be."""

        def get(registry: Registry, endpoint: Endpoint, position: int) -> tuple[Answer, int]:
            found = begin_blob(registry, endpoint.repository, descriptor, position)
            with self._lock:
                self._gave.setdefault(descriptor.digest, set()).add(endpoint)
            return found

        def begin(position: int) -> tuple[Answer, int]:
            return self._first(lambda registry, endpoint: get(registry, endpoint, position))

        name = f"{self.name}, blob {descriptor.digest}"
        return BlobStream(begin, descriptor, offset, name=name, limits=self._limits)

    def has_mirrors(self) -> bool:
        """See ``Mirrored``."""
        return any(endpoint.is_mirror for _, endpoint in self._places)

    def distrust(self, descriptor: Descriptor) -> bool:
        """See ``Mirrored``."""
        with self._lock:
            liars = {endpoint for endpoint in self._gave.pop(descriptor.digest, ()) if endpoint.is_mirror}
            self._distrusted += [place for place in self._places if place[1] in liars]
            self._places = [place for place in self._places if place[1] not in liars]
        return bool(liars)

    def close(self) -> None:
        """Ends what is under way and lets go of all connections."""
        for registry, _ in (*self._places, *self._distrusted):
            registry.close()

    def _first(self, get: Callable[[Registry, Endpoint], Found]) -> Found:
        """What the first place gives that can. A place that failed another is asked after it from then on."""
        troubles: list[tuple[Endpoint, CarobError]] = []
        with self._lock:
            places = list(self._places)
        for place in places:
            try:
                found = get(*place)
            except _ELSEWHERE as error:
                troubles.append((place[1], error))
                continue
            if troubles:
                self._prefer(place)
            return found
        raise _summary(troubles)

    def _prefer(self, place: tuple[Registry, Endpoint]) -> None:
        with self._lock:
            if place in self._places:  # and not distrusted meanwhile
                self._places.remove(place)
                self._places.insert(0, place)


def _summary(troubles: list[tuple[Endpoint, CarobError]]) -> CarobError:
    """The registry's own error, with what the mirrors said."""
    origin = next(error for endpoint, error in troubles if not endpoint.is_mirror)
    mirrors = [f"{endpoint.host}: {error.message}" for endpoint, error in troubles if endpoint.is_mirror]
    if mirrors:
        origin.hint = "; ".join(part for part in (origin.hint, f"mirrors: {'; '.join(mirrors)}") if part)
    return origin


def _constantly(credentials: Credentials) -> Callable[[str], Credentials | None]:
    return lambda _: credentials


def _impatient(limits: Limits) -> Limits:
    from dataclasses import replace

    return replace(limits, attempts=min(limits.attempts, _MIRROR_ATTEMPTS))


def _check_is_image(descriptor: Descriptor, name: str) -> None:
    if descriptor.media_type not in INDEX_TYPES | MANIFEST_TYPES:
        raise Unsupported(
            f"{name} is no image, but {descriptor.media_type[:100]!r}",
            hint="carob takes OCI images and indexes, and Docker's of schema 2",
        )

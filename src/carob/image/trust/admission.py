"""The policy as the pipeline (``carob.image.fetch.fetch``) asks it: is this image to be taken in?"""

from __future__ import annotations

import os

from carob.errors import Rejected
from carob.image.trust.decide import Signatures, check, check_unsigned
from carob.image.trust.docker_reference import DockerReference, parse_docker_reference
from carob.image.trust.policy import Policy
from carob.image.trust.signatures import Lookaside, attached_signatures, directory_signatures
from carob.spec import address as addresses
from carob.spec.reference import Reference, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.image.fetch.documents import ManifestDocument
    from carob.image.sources.source import Source
    from carob.image.trust.requirements import Requirements
    from carob.spec.address import ImageAddress


class Admission:
    """Asks a policy; an instance is an ``Accept`` of the pipeline.

    ``open_registry`` opens another tag of a registry, in which cosign's signatures are; without it there are
    none. Of an image for several platforms, a signature of the one that was chosen or of the whole index will
    do. Appc images have been asked for their signatures by then, and are let pass. Without
    ``asks_signatures`` nothing has to be signed, and what the policy rejects stays rejected.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        lookaside: Lookaside | None = None,
        open_registry: Callable[[Reference], Source] | None = None,
        asks_signatures: bool = True,
    ) -> None:
        self._policy = policy
        self._lookaside = lookaside or Lookaside()
        self._open_registry = open_registry
        self._asks_signatures = asks_signatures

    def __call__(self, source: Source, found: ManifestDocument) -> None:
        """Returns, or raises ``Rejected``."""
        address = source.address
        if address.transport in (addresses.ACI, addresses.APPC):
            return
        scope, identity = _scope(address)
        requirements = self._requirements(address.transport, scope)
        signatures = self._signatures(address, identity, found.descriptor.digest)
        try:
            check(requirements, found.data, found.descriptor.digest, identity, signatures)
        except Rejected:
            if found.root.digest == found.descriptor.digest or not requirements.wants_signatures:
                raise
            root = found.root.digest
            check(requirements, found.root_data, root, identity, self._signatures(address, identity, root))

    def rootfs(self, address: ImageAddress) -> None:
        """The same for a root file system, which nobody can have signed: a directory or a tar."""
        is_tar = address.transport == addresses.TAR
        transport, scope = ("tarball", "") if is_tar else (address.transport, _scope(address)[0])
        check_unsigned(self._requirements(transport, scope), str(address))

    def _requirements(self, transport: str, scope: str) -> Requirements:
        found = self._policy.requirement(transport, scope)
        return found if self._asks_signatures else found.without_signatures()

    def _signatures(self, address: ImageAddress, identity: DockerReference | None, digest: str) -> Signatures:
        if address.transport == addresses.DIRECTORY:
            return Signatures(
                simple=lambda: directory_signatures(address.location)[0],
                sigstore=lambda: directory_signatures(address.location)[1],
            )
        if identity is None:
            return Signatures()
        if self._open_registry is None:
            return Signatures(simple=lambda: self._lookaside.signatures(identity, digest))
        repository = parse_reference(address.location).repository
        open_registry = self._open_registry
        return Signatures(
            simple=lambda: self._lookaside.signatures(identity, digest),
            sigstore=lambda: attached_signatures(
                lambda tag: open_registry(Reference(repository, tag, "")), digest
            ),
        )


def _scope(address: ImageAddress) -> tuple[str, DockerReference | None]:
    """What the policy calls the image, and the name that a signature must be for."""
    if address.transport == addresses.DOCKER:
        identity = parse_docker_reference(address.location)
        return str(identity), identity
    return os.path.realpath(address.location), None

"""Where images come from and go to, as this host is configured.

registries.toml says how registries are reached and what short names stand for, the files of docker, podman
and skopeo who is who there; the key store says who may sign appc images, policy.json which OCI images are
taken in.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from carob.image.registry.configuration import EVERY_HOST, Configuration, Rule, load
from carob.image.registry.limits import registry_limits
from carob.image.registry.source import RegistrySource
from carob.image.sources.open import Remotes
from carob.image.trust.insecure import Insecure, parse_insecure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carob.image.fetch.documents import ManifestDocument
    from carob.image.limits import ImageLimits
    from carob.image.registry.credentials import Credentials
    from carob.image.sources.source import Source
    from carob.image.trust.admission import Admission
    from carob.spec.address import ImageAddress
    from carob.spec.reference import Reference


class Elsewhere:
    """The configuration, read when it is first needed; one object for one call of the engine.

    ``insecure`` are words of rkt's ``--insecure-options`` (``carob.image.trust.insecure``): ``tls`` and
    ``http`` for registries too, ``image`` for the signatures that a policy asks for. ``credentials`` go
    before all files; ``limits`` are for registries and appc sites.
    """

    def __init__(
        self,
        data_dir: str,
        *,
        insecure: str | Iterable[str] = "none",
        credentials: Credentials | None = None,
        limits: ImageLimits | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._credentials = credentials
        self._limits = limits
        self.insecure: Insecure = parse_insecure(insecure)

    @cached_property
    def configuration(self) -> Configuration:
        """registries.toml, with every registry trusted as it is where that was asked for."""
        found = load()
        if not (self.insecure.tls or self.insecure.http):
            return found
        rules = {prefix: replace(rule, insecure=True) for prefix, rule in found.rules.items()}
        rules.setdefault(EVERY_HOST, Rule(prefix=EVERY_HOST, insecure=True))
        return Configuration(found.aliases, rules)

    def alias(self, reference: Reference) -> Reference | None:
        """What a name without a domain stands for."""
        return self.configuration.expand(reference)

    def remotes(self) -> Remotes:
        """How sources outside this host are opened."""
        return Remotes(registry=self.registry, appc=self._appc)

    def registry(self, reference: Reference) -> RegistrySource:
        """An image of a registry."""
        return RegistrySource(
            reference,
            self.configuration,
            credentials=self._credentials,
            limits=registry_limits(self._limits),
        )

    def _appc(self, address: ImageAddress) -> Source:
        from carob.image.aci.finder import AciSettings
        from carob.image.aci.limits import aci_limits
        from carob.image.aci.source import open_appc

        settings = AciSettings(self._data_dir, insecure=self.insecure, limits=aci_limits(self._limits))
        return open_appc(address, settings)

    @cached_property
    def _admission(self) -> Admission:
        from carob.image.trust.admission import Admission
        from carob.image.trust.policy import load_policy
        from carob.image.trust.signatures import Lookaside

        return Admission(
            load_policy(),
            lookaside=Lookaside(get=self._signature),
            open_registry=self.registry,
            asks_signatures=not self.insecure.image,
        )

    def _signature(self, url: str) -> bytes:
        """A signature at a place that registries.d names; plain HTTP will do where that says so."""
        from carob.image.aci.http import Web
        from carob.image.trust.openpgp_packets import SIGNATURE_BYTES

        web = Web(allow_http=url.startswith("http:"), verify_tls=not self.insecure.tls)
        try:
            return web.get(url, limit_bytes=SIGNATURE_BYTES)
        finally:
            web.close()

    def accept(self, source: Source, found: ManifestDocument) -> None:
        """The policy's word on an image: returns, or raises ``Rejected``."""
        self._admission(source, found)

    def accept_rootfs(self, address: ImageAddress) -> None:
        """The policy's word on a root file system."""
        self._admission.rootfs(address)

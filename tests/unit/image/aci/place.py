"""A data directory with its key store, and a server where names lead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from carob.image import Store, Trees
from carob.image.aci.finder import AciSettings
from carob.image.aci.source import AciSource, open_appc
from carob.image.fetch.fetch import fetch
from carob.image.store.resolved import ResolvedImage
from carob.image.trust.insecure import parse_insecure
from carob.image.trust.keystore import KeyStore
from carob.spec.address import parse_address
from tests.needs import require_root
from tests.parts.certificates import Authority
from tests.unit.image.aci.made import written
from tests.unit.image.aci.server import AciServer

NAME = "localhost/app"
LABELS = [{"name": "version", "value": "1.0.0"}]

Publish = Callable[..., str]


class Place:
    """A data directory with its key store; ``server`` is where names lead."""

    def __init__(self, directory: Path, server: AciServer, authority: Authority) -> None:
        self.data = directory / "data"
        self.server = server
        self.store = Store(str(self.data))
        self.keys = KeyStore([str(directory / "keys")])
        self.directory = directory
        self.authority = authority

    def settings(self, insecure: str = "none", **more: Any) -> AciSettings:
        return AciSettings(
            str(self.data),
            keys=self.keys,
            insecure=parse_insecure(insecure),
            ca_file=str(self.authority.ca_file),
            port=self.server.port,
            **more,
        )

    def open(self, address: str, insecure: str = "none", **more: Any) -> AciSource:
        return open_appc(parse_address(address), self.settings(insecure, **more))

    def fetch(
        self, address: str, insecure: str = "none", *, trees: Trees | None = None, name: str = "", **more: Any
    ) -> ResolvedImage:
        source = self.open(address, insecure, **more)
        try:
            return fetch(self.store, trees, source, name=name)
        finally:
            source.close()

    def write(self, data: bytes, signature: bytes = b"", name: str = "x.aci") -> str:
        return f"aci:{written(self.directory / name, data, signature)}"

    def tree(self, image: ResolvedImage) -> Path:
        """The files of an image as a pod would see them."""
        require_root()
        target = self.directory / f"tree-{image.image_id[7:19]}"
        target.mkdir()
        Trees(str(self.data)).ensure(image).copy_to(str(target))
        return target

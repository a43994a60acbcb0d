from __future__ import annotations

import gzip
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts.certificates import Authority
from tests.unit.image.aci.made import aci, image_id, manifest
from tests.unit.image.aci.place import Place, Publish
from tests.unit.image.aci.server import AciServer
from tests.unit.image.trust.gpg import Gpg
from tests.unit.image.trust.gpg import gpg as gpg  # noqa: PLC0414 - a fixture, by its name


@pytest.fixture
def server(authority: Authority) -> Iterator[AciServer]:
    """By TLS, with a certificate for ``localhost``; its root page leads to what it publishes."""
    with AciServer(authority.issue()) as made:
        made.page("", ("ac-discovery", "localhost", made.template))
        yield made


@pytest.fixture
def plain_server() -> Iterator[AciServer]:
    """The same without TLS."""
    with AciServer() as made:
        made.page("", ("ac-discovery", "localhost", made.template))
        yield made


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def place(tmp_path: Path, server: AciServer, authority: Authority) -> Place:
    return Place(tmp_path, server, authority)


@pytest.fixture(scope="module")
def key(gpg: Gpg) -> str:
    """A key; trusted by nobody yet."""
    return gpg.key(f"Maker {secrets.token_hex(4)}")


@pytest.fixture(scope="module")
def other(gpg: Gpg) -> str:
    return gpg.key(f"Somebody else {secrets.token_hex(4)}")


@pytest.fixture
def publish(place: Place, gpg: Gpg, key: str) -> Publish:
    """Publishes a signed ACI by its name; its image id."""

    def make(name: str, *members: Any, signer: str = key, version: str = "1.0.0", **fields: Any) -> str:
        labels = {"version": version, **fields.pop("labels", {})}
        data = aci(manifest(name, labels=labels, **fields), *members)
        packed = gzip.compress(data)
        place.server.publish(name, version, packed, gpg.sign(packed, signer) if signer else b"")
        return image_id(data)

    return make

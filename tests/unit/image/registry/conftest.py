from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carob.image.registry.client import Registry
from carob.image.registry.endpoint import Endpoint
from carob.image.registry.limits import Limits
from carob.image.registry.proxies import Proxies
from carob.image.registry.requester import Request
from tests.unit.image.registry.raw_server import RawServer

Connect = Callable[..., Registry]


@pytest.fixture
def limits() -> Limits:
    """Short times: nothing here is farther away than the loopback interface."""
    return Limits(
        connect_s=5,
        headers_s=5,
        commit_s=10,
        stall_s=5,
        document_s=10,
        attempts=3,
        first_wait_s=0.01,
        longest_wait_s=2,
        helper_s=10,
    )


def ping(client: Registry) -> None:
    """Asks whether a registry is there and lets the user in; raises where not."""
    client.send(Request("GET", client.url("/v2/"), f"the registry {client.endpoint.host}")).discard()


@pytest.fixture
def connect(limits: Limits) -> Iterator[Connect]:
    """Makes clients, which are closed at the end. Without an environment: no proxies, no files."""
    made: list[Registry] = []

    def make(host: str, **options: object) -> Registry:
        keywords = {
            name: options.pop(name)
            for name in ("insecure", "ca", "namespace", "is_mirror")
            if name in options
        }
        options = {"limits": limits, "proxies": Proxies({}), **options}
        made.append(Registry(Endpoint(host=host, **keywords), **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own: nobody's own credentials and certificates count."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return path


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    """Makes servers of raw bytes: called with what `RawServer` takes."""
    made: list[RawServer] = []

    def make(*arguments: object, **options: object) -> RawServer:
        made.append(RawServer(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for server in made:
        server.close()

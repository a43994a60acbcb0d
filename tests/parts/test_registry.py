"""The registry part: real pushes and pulls through each way in, and an account of them that is true."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests.parts import skopeo
from tests.parts.oci_layout import LayoutImage
from tests.parts.registry import Registry, running_registry
from tests.parts.token_server import SERVICE

KINDS = ("plain", "tls", "basic", "tokens")


@pytest.fixture
def registries(
    registry: Registry, tls_registry: Registry, basic_registry: Registry, token_registry: Registry
) -> dict[str, Registry]:
    return dict(zip(KINDS, (registry, tls_registry, basic_registry, token_registry), strict=True))


@pytest.fixture(params=KINDS)
def any_registry(request: pytest.FixtureRequest, registries: dict[str, Registry]) -> Registry:
    return registries[request.param]


def test_an_image_comes_back_as_it_was_pushed(
    any_registry: Registry, small: LayoutImage, tmp_path: Path
) -> None:
    assert any_registry.push(small.oci, "parts/back", "1") == small.descriptor["digest"]
    any_registry.pull("parts/back", "1", f"oci:{tmp_path}/pulled:1")
    pulled = LayoutImage(tmp_path / "pulled", "1")
    assert pulled.layers() == small.layers()
    assert all(pulled.blob(layer["digest"]).stat().st_size == layer["size"] for layer in pulled.layers())


def test_a_pull_downloads_each_blob_once_and_the_log_says_so(
    any_registry: Registry, small: LayoutImage, tmp_path: Path
) -> None:
    any_registry.push(small.oci, "parts/once")
    before = any_registry.mark()
    any_registry.pull("parts/once", "latest", f"oci:{tmp_path}/pulled:1")
    blobs = [small.manifest()["config"], *small.layers()]
    assert any_registry.blob_downloads(before) == {blob["digest"]: 1 for blob in blobs}
    assert any_registry.bytes_sent(before) >= sum(blob["size"] for blob in blobs)
    assert {request.agent.partition("/")[0] for request in any_registry.requests(before)} == {"skopeo"}


@pytest.mark.parametrize("kind", ["basic", "tokens"])
def test_who_has_no_or_wrong_credentials_is_refused(
    kind: str, registries: dict[str, Registry], small: LayoutImage
) -> None:
    closed = registries[kind]
    closed.push(small.oci, "parts/closed")
    reference = closed.reference("parts/closed")
    for wrong in ("--no-creds", "--creds=ann:wrong"):
        with pytest.raises(RuntimeError, match=r"authentication required|unauthorized"):
            skopeo.run("inspect", "--raw", f"--cert-dir={closed.cert_dir}", wrong, reference)


def test_a_token_that_grants_less_than_was_asked_is_refused_by_the_registry(
    token_registry: Registry, small: LayoutImage
) -> None:
    assert token_registry.tokens is not None
    assert token_registry.credentials is not None
    token_registry.tokens.allow(token_registry.credentials[0], "parts/read-only", "pull")
    with pytest.raises(RuntimeError, match=r"denied|unauthorized|authentication required"):
        token_registry.push(small.oci, "parts/read-only")
    last = [asked for asked in token_registry.tokens.asked if "parts/read-only" in str(asked.scopes)][-1]
    assert all("push" in scope for scope in last.scopes)
    assert set(last.granted or ()) == {"repository:parts/read-only:pull"}


def test_anybody_may_pull_what_is_public(token_registry: Registry, small: LayoutImage) -> None:
    token_registry.push(small.oci, "public/small")
    options = ("inspect", "--raw", f"--cert-dir={token_registry.cert_dir}", "--no-creds")
    assert json.loads(skopeo.run(*options, token_registry.reference("public/small"))) == small.manifest()


def test_tokens_are_given_by_oauth_and_anew_for_a_refresh_token(token_registry: Registry) -> None:
    tokens = token_registry.tokens
    assert tokens is not None
    assert token_registry.credentials is not None
    user, password = token_registry.credentials
    context = ssl.create_default_context(cafile=token_registry.ca_file)

    def ask(**form: str) -> dict[str, str]:
        data = urllib.parse.urlencode({"service": SERVICE, "scope": "registry:catalog:*", **form}).encode()
        with urllib.request.urlopen(tokens.url, data, context=context) as answer:
            found: dict[str, str] = json.load(answer)
        return found

    first = ask(grant_type="password", username=user, password=password, access_type="offline")
    second = ask(grant_type="refresh_token", refresh_token=first["refresh_token"])
    for token in (first["access_token"], second["access_token"]):
        asked = urllib.request.Request(f"{token_registry.base_url}/v2/_catalog")
        asked.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(asked, context=context) as answer:
            assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(grant_type="refresh_token", refresh_token="made up")
    with refused.value as error:
        assert error.code == 401


def test_a_certificate_of_an_unknown_authority_is_not_trusted(tls_registry: Registry) -> None:
    connection = http.client.HTTPSConnection("127.0.0.1", tls_registry.port)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/v2/")
    connection.close()


def test_a_registry_that_went_away_comes_back_with_its_images(small: LayoutImage, tmp_path: Path) -> None:
    with running_registry(tmp_path / "registry") as own:
        own.push(small.oci, "parts/stays")
        before, port = own.requests(), own.port
        own.stop()
        connection = http.client.HTTPConnection("127.0.0.1", port)
        with pytest.raises(ConnectionRefusedError):
            connection.connect()
        own.start()
        assert own.port == port
        assert own.digest("parts/stays") == small.descriptor["digest"]
        assert own.requests()[: len(before)] == before
        pid = own.pid
    assert not Path(f"/proc/{pid}").exists()


def test_damage_in_a_blob_file_reaches_who_downloads_it(registry: Registry, small: LayoutImage) -> None:
    registry.push(small.oci, "parts/damaged")
    blob = small.layers()[0]
    file = registry.blob_file(blob["digest"])
    whole = file.read_bytes()
    try:
        file.write_bytes(b"!" + whole[1:])
        url = f"{registry.base_url}/v2/parts/damaged/blobs/{blob['digest']}"
        with urllib.request.urlopen(url) as answer:
            assert answer.read(1) == b"!"
    finally:
        file.write_bytes(whole)


def test_a_download_that_breaks_off_is_in_the_log(registry: Registry, small: LayoutImage) -> None:
    registry.push(small.oci, "parts/broken-off")
    blob = max(small.layers(), key=lambda layer: layer["size"])
    before = registry.mark()
    connection = http.client.HTTPConnection("127.0.0.1", registry.port)
    connection.request(
        "GET", f"/v2/parts/broken-off/blobs/{blob['digest']}", headers={"Range": "bytes=10-19"}
    )
    answer = connection.getresponse()
    connection.close()
    answer.close()
    (request,) = registry.requests(before)
    assert (request.status, request.size, request.downloaded_blob) == (206, 10, blob["digest"])

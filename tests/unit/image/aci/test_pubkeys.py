"""Keys from a file, a URL and from those who publish them; what is got is not trusted yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from carob.errors import CorruptData, InvalidInput, NotFound, Rejected, Unavailable
from carob.image.aci.finder import AciSettings
from carob.image.aci.pubkeys import offered_keys
from carob.image.trust.insecure import parse_insecure
from carob.image.trust.keystore import KeyStore
from tests.parts.certificates import Authority
from tests.unit.image.aci.server import AciServer
from tests.unit.image.trust.gpg import Gpg


@pytest.fixture(scope="module")
def key(gpg: Gpg) -> str:
    return gpg.key("Published <pub@example.com>")


@pytest.fixture
def settings(tmp_path: Path, server: AciServer, authority: Authority) -> AciSettings:
    keys = KeyStore([str(tmp_path / "keys")])
    return AciSettings(str(tmp_path), keys=keys, ca_file=str(authority.ca_file), port=server.port)


def test_keys_come_from_a_file_and_from_a_url(
    settings: AciSettings, server: AciServer, gpg: Gpg, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "pubkeys.gpg"
    path.write_bytes(gpg.public(key))
    server.files["/pubkeys.gpg"] = gpg.public(key, armor=False)
    for location in (str(path), f"{server.url}/pubkeys.gpg"):
        (offered,) = offered_keys(settings, location=location)
        assert offered.location == location
        assert [(one.fingerprint, one.user_ids) for one in offered.keys] == [
            (key, ("Published <pub@example.com>",))
        ]
        assert settings.keys.trusted() == []
        settings.keys.add(offered.data, "localhost", offered.location)
        assert [one.fingerprint for one in settings.keys.keys_for("localhost/x")] == [key]
        settings.keys.remove(key, "localhost")


def test_keys_are_discovered_for_a_prefix(
    settings: AciSettings, server: AciServer, gpg: Gpg, key: str
) -> None:
    server.files["/pubkeys.gpg"] = gpg.public(key)
    server.page(
        "",
        ("ac-discovery", "localhost", server.template),
        ("ac-discovery-pubkeys", "localhost/app", server.url + "/pubkeys.gpg"),
        ("ac-discovery-pubkeys", "localhost/other", server.url + "/others.gpg"),
    )
    (offered,) = offered_keys(settings, prefix="localhost/app/deeper")
    assert [one.fingerprint for one in offered.keys] == [key]
    with pytest.raises(NotFound, match="where the keys for localhost/none are"):
        offered_keys(settings, prefix="localhost/none")
    assert server.requests == [
        "/app/deeper?ac-discovery=1",
        "/app?ac-discovery=1",
        "/?ac-discovery=1",
        "/pubkeys.gpg",
        "/none?ac-discovery=1",
        "/?ac-discovery=1",
    ]


def test_an_unproved_server_gives_no_keys_unless_that_is_said(
    tmp_path: Path, server: AciServer, gpg: Gpg, key: str
) -> None:
    server.files["/pubkeys.gpg"] = gpg.public(key)
    for words, is_taken in (("none", False), ("tls", False), ("tls,pubkey", True), ("pubkey", False)):
        unproved = AciSettings(str(tmp_path), insecure=parse_insecure(words))
        if is_taken:
            assert offered_keys(unproved, location=f"{server.url}/pubkeys.gpg")
        else:
            with pytest.raises(Unavailable, match="certificate"):
                offered_keys(unproved, location=f"{server.url}/pubkeys.gpg")


@pytest.mark.parametrize("words", ["none", "http", "pubkey"])
def test_an_unencrypted_way_gives_no_keys(tmp_path: Path, words: str) -> None:
    settings = AciSettings(str(tmp_path), insecure=parse_insecure(words))
    with pytest.raises(Rejected, match="not encrypted"):
        offered_keys(settings, location="http://192.0.2.1/pubkeys.gpg")


def test_what_are_no_keys_is_told(settings: AciSettings, server: AciServer, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("no key")
    with pytest.raises(CorruptData, match=str(path)):
        offered_keys(settings, location=str(path))
    path.write_bytes(bytes(2 << 20))
    with pytest.raises(CorruptData, match="larger"):
        offered_keys(settings, location=str(path))
    with pytest.raises(NotFound):
        offered_keys(settings, location=str(tmp_path / "none"))
    with pytest.raises(InvalidInput):
        offered_keys(settings, location="file:///etc/passwd")
    with pytest.raises(InvalidInput):
        offered_keys(settings)
    with pytest.raises(InvalidInput):
        offered_keys(settings, prefix="a/../b")

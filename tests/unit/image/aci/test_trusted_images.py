"""Which appc images are let in, and which not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from carob.errors import (
    CorruptData,
    InvalidInput,
    Rejected,
)
from carob.image.aci.config import appc_manifest
from carob.image.aci.records import read_record, records
from carob.image.fetch.fetch import fetch
from tests.unit.image.aci.made import aci, app, file, manifest, written
from tests.unit.image.aci.place import NAME, Place, Publish
from tests.unit.image.trust.gpg import Gpg


def test_a_signed_image_is_found_by_its_name_and_taken_in(
    place: Place, publish: Publish, gpg: Gpg, key: str
) -> None:
    identifier = publish(NAME, file("etc/x", b"1"), app=app("/bin/x", "--y"))
    place.keys.add(gpg.public(key), "localhost", "k")
    image = place.fetch(f"appc:{NAME}:1.0.0")
    assert image.name == "localhost/app:1.0.0"
    assert image.config["config"]["Entrypoint"] == ["/bin/x", "--y"]
    record = read_record(str(place.data), image.image_id)
    assert record is not None
    assert (record.image_id, record.name, record.signers) == (identifier, NAME, (key,))
    kept = place.store.layout.blob_path(image.image_id)
    assert json.loads(appc_manifest(Path(kept).read_bytes(), "x"))["name"] == NAME
    assert place.server.requests == [
        "/app?ac-discovery=1",
        "/?ac-discovery=1",
        "/images/localhost/app-1.0.0.aci.asc",
        "/images/localhost/app-1.0.0.aci",
    ]


def test_an_unsigned_image_is_refused_before_it_is_downloaded(
    place: Place, publish: Publish, gpg: Gpg, key: str
) -> None:
    publish(NAME, signer="")
    place.keys.add(gpg.public(key), "localhost", "k")
    with pytest.raises(Rejected, match="not signed") as caught:
        place.fetch(f"appc:{NAME}:1.0.0")
    assert "--insecure-options=image" in caught.value.hint
    assert "/images/localhost/app-1.0.0.aci" not in place.server.requests
    assert place.store.list() == []
    assert place.fetch(f"appc:{NAME}:1.0.0", "image").name == "localhost/app:1.0.0"
    (record,) = records(str(place.data))
    assert record.signers == ()


def test_an_image_is_refused_where_no_key_is_trusted(place: Place, publish: Publish) -> None:
    publish(NAME)
    with pytest.raises(Rejected, match="no key is trusted for localhost/app") as caught:
        place.fetch(f"appc:{NAME}:1.0.0")
    assert "carob trust add --prefix=localhost/app" in caught.value.hint


@pytest.mark.parametrize("prefix", ["localhost/ap", "localhost/app/deeper", "localhos", "example.com"])
def test_a_key_for_another_prefix_does_not_let_it_in(
    place: Place, publish: Publish, gpg: Gpg, key: str, prefix: str
) -> None:
    publish(NAME)
    place.keys.add(gpg.public(key), prefix, "k")
    with pytest.raises(Rejected):
        place.fetch(f"appc:{NAME}:1.0.0")
    data = aci(manifest(NAME))
    with pytest.raises(Rejected, match="no key is trusted for localhost/app"):
        place.fetch(place.write(data, gpg.sign(data, key)))


def test_a_signature_by_somebody_else_does_not_let_it_in(
    place: Place, publish: Publish, gpg: Gpg, key: str, other: str
) -> None:
    publish(NAME, signer=other)
    place.keys.add(gpg.public(key), "localhost", "k")
    with pytest.raises(Rejected, match=f"made by {other}"):
        place.fetch(f"appc:{NAME}:1.0.0")


def test_a_signature_of_another_file_does_not_let_it_in(
    place: Place, publish: Publish, gpg: Gpg, key: str
) -> None:
    publish(NAME)
    place.keys.add(gpg.public(key), "localhost", "k")
    place.server.files["/images/localhost/app-1.0.0.aci.asc"] = gpg.sign(b"something else", key)
    with pytest.raises(Rejected, match="not a good one"):
        place.fetch(f"appc:{NAME}:1.0.0")


def test_a_signed_image_under_another_name_is_refused(
    place: Place, publish: Publish, gpg: Gpg, key: str
) -> None:
    """The server gives a good image of the same maker, but not the one that was asked for."""
    place.keys.add(gpg.public(key), "localhost", "k")
    publish(NAME)
    for extension in ("aci", "aci.asc"):
        place.server.files[f"/images/localhost/other-1.0.0.{extension}"] = place.server.files[
            f"/images/localhost/app-1.0.0.{extension}"
        ]
        place.server.files[f"/images/localhost/app-2.0.0.{extension}"] = place.server.files[
            f"/images/localhost/app-1.0.0.{extension}"
        ]
    with pytest.raises(CorruptData, match="asked for localhost/other, got localhost/app"):
        place.fetch("appc:localhost/other:1.0.0")
    with pytest.raises(CorruptData, match=r"asked for version=2\.0\.0, and the image says '1\.0\.0'"):
        place.fetch(f"appc:{NAME}:2.0.0")
    with pytest.raises(CorruptData, match="asked for channel=beta, and the image says nothing"):
        place.fetch(f"appc:{NAME}:1.0.0,channel=beta")


def test_a_file_is_verified_by_the_signature_beside_it(place: Place, gpg: Gpg, key: str) -> None:
    data = gzip.compress(aci(manifest(NAME)))
    place.keys.add(gpg.public(key), "", "k")
    with pytest.raises(Rejected, match="not signed"):
        place.fetch(place.write(data))
    assert place.fetch(place.write(data, gpg.sign(data, key))).name == "localhost/app:1.0.0"
    with pytest.raises(Rejected, match="not a good one"):
        place.fetch(place.write(data + b"\0", gpg.sign(data, key)))


def test_what_nobody_signed_is_not_even_looked_into(place: Place, gpg: Gpg, key: str, other: str) -> None:
    place.keys.add(gpg.public(key), "", "k")
    data = b"no tar at all"
    with pytest.raises(Rejected):
        place.fetch(place.write(data, gpg.sign(data, other)))
    with pytest.raises(CorruptData):
        place.fetch(place.write(data, gpg.sign(data, key)))


def test_an_image_at_a_url_needs_its_signature_too(
    place: Place, publish: Publish, gpg: Gpg, key: str
) -> None:
    publish(NAME)
    url = f"aci:{place.server.url}/images/localhost/app-1.0.0.aci"
    with pytest.raises(Rejected):
        place.fetch(url)
    place.keys.add(gpg.public(key), "localhost/app", "k")
    assert place.fetch(url).name == "localhost/app:1.0.0"
    source = place.open(url + "?token=secret")
    assert "secret" not in source.name
    source.close()


def test_http_is_refused_without_the_option(place: Place, publish: Publish) -> None:
    with pytest.raises(Rejected, match="not encrypted"):
        place.fetch("aci:http://192.0.2.1/x.aci")
    with pytest.raises(InvalidInput):
        place.fetch("aci:file:///etc/passwd")


def test_a_link_whose_target_changes_is_read_once(place: Place, gpg: Gpg, key: str) -> None:
    """What was verified is what is used: the file is changed between the two."""
    place.keys.add(gpg.public(key), "", "k")
    data = aci(manifest(NAME), file("x", b"good"))
    address = place.write(data, gpg.sign(data, key))
    source = place.open(address)
    try:
        assert source.signers == (key,)
        written(place.directory / "x.aci", aci(manifest(NAME), file("x", b"evil")))
        image = fetch(place.store, None, source)
    finally:
        source.close()
    (layer,) = image.layers
    assert b"good" in Path(place.store.layout.blob_path(layer.digest)).read_bytes()

"""The source itself, and the records of what was rendered."""

from __future__ import annotations

import json
import os

import pytest

from carob.errors import (
    CarobError,
    CorruptData,
    InvalidInput,
    NotFound,
)
from carob.image.aci.limits import AciLimits
from carob.image.aci.records import Record, read_record, records, sweep_records, write_record
from carob.spec.oci.descriptor import Descriptor
from tests.unit.image.aci.made import aci, file, manifest
from tests.unit.image.aci.place import NAME, Place, Publish


def test_nothing_is_asked_for_before_it_is_needed_and_everything_once(place: Place, publish: Publish) -> None:
    publish(NAME, file("x", b"1"))
    source = place.open(f"appc:{NAME}:1.0.0", "image")
    assert (source.name, source.reference) == (f"appc:{NAME}:1.0.0", "localhost/app:1.0.0")
    assert place.server.requests == []
    descriptor, data = source.root()
    document = json.loads(data)
    config = Descriptor("x", document["config"]["digest"], document["config"]["size"])
    assert len(source.document(config)) == config.size_bytes
    layer = Descriptor("x", document["layers"][0]["digest"], document["layers"][0]["size"])
    reader = source.open_blob(layer, 512)
    assert reader.offset == 512
    length = 512
    while piece := reader.read(1000):
        length += len(piece)
    assert length == layer.size_bytes
    reader.close()
    assert source.root()[0] == descriptor
    with pytest.raises(NotFound):
        source.document(layer)
    with pytest.raises(NotFound):
        source.open_blob(config)
    assert len([path for path in place.server.requests if path.endswith(".aci")]) == 1
    source.close()
    with pytest.raises(InvalidInput, match="closed"):
        source.root()


def test_nothing_is_left_beside_the_store(place: Place, publish: Publish) -> None:
    publish(NAME, file("x", b"1"))
    place.fetch(f"appc:{NAME}:1.0.0", "image")
    with pytest.raises(NotFound):
        place.fetch(f"appc:{NAME}:2.0.0", "image")
    assert os.listdir(place.data / "images/.tmp") == []


def test_a_download_tells_how_far_it_is(place: Place, publish: Publish) -> None:
    publish(NAME, file("x", os.urandom(500_000)))
    told: list[tuple[int, int]] = []
    place.fetch(f"appc:{NAME}:1.0.0", "image", told=lambda *at: told.append(at))
    assert told[-1][0] == told[-1][1] > 500_000


def test_an_archive_that_is_too_large_is_refused(place: Place, publish: Publish) -> None:
    publish(NAME, file("x", os.urandom(50_000)))
    with pytest.raises(CorruptData, match="at most 10000"):
        place.fetch(f"appc:{NAME}:1.0.0", "image", limits=AciLimits(archive_bytes=10_000))
    data = aci(manifest(NAME), file("x", os.urandom(50_000)))
    with pytest.raises(CorruptData, match="larger than 10000"):
        place.fetch(place.write(data), "image", limits=AciLimits(archive_bytes=10_000))


def test_a_store_that_cannot_be_written_is_told(place: Place) -> None:
    place.data.write_text("in the way")
    with pytest.raises(CarobError, match="getting aci:"):
        place.open(place.write(aci(manifest(NAME))), "image").root()


def test_records_of_images_that_are_gone_are_swept_when_they_are_old(place: Place, publish: Publish) -> None:
    publish(NAME)
    image = place.fetch(f"appc:{NAME}:1.0.0", "image")
    gone = Record("sha256:" + "0" * 64, "sha512-" + "0" * 128, "gone", {}, ())
    write_record(str(place.data), gone)
    assert sweep_records(str(place.data), place.store.layout) == 0
    for path in (place.data / "aci").iterdir():
        os.utime(path, (0, 0))
    assert sweep_records(str(place.data), place.store.layout) == 1
    assert [record.manifest for record in records(str(place.data))] == [image.image_id]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"version":2}', '{"version":1,"imageID":"sha512-x","name":"a","signers":[]}']
)
def test_a_broken_record_is_none(place: Place, text: str) -> None:
    directory = place.data / "aci"
    directory.mkdir(parents=True)
    (directory / ("1" * 64)).write_text(text)
    assert read_record(str(place.data), "sha256:" + "1" * 64) is None
    assert list(records(str(place.data))) == []
    assert read_record(str(place.data), "sha256:../../etc/passwd") is None


def test_a_record_keeps_its_signers(place: Place) -> None:
    def record(*signers: str) -> Record:
        return Record("sha256:" + "2" * 64, "sha512-" + "2" * 128, "a", {"b": "c"}, signers)

    write_record(str(place.data), record("x"))
    write_record(str(place.data), record())
    found = read_record(str(place.data), "sha256:" + "2" * 64)
    assert found is not None
    assert (found.signers, found.labels) == (("x",), {"b": "c"})

"""Images that depend on others: from the store, by discovery, hostile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carob.errors import (
    CarobError,
    CorruptData,
    NotFound,
    Rejected,
)
from carob.image.aci.limits import AciLimits
from tests.unit.image.aci.made import aci, file, manifest
from tests.unit.image.aci.place import LABELS, Place, Publish
from tests.unit.image.trust.gpg import Gpg


def test_a_dependency_is_taken_from_the_store_and_signed(
    place: Place, publish: Publish, gpg: Gpg, key: str
) -> None:
    place.keys.add(gpg.public(key), "localhost", "k")
    low = publish("localhost/low", file("low", b"1"), file("lost", b"1"))
    image = place.fetch("appc:localhost/low:1.0.0")
    place.server.files = {
        path: data for path, data in place.server.files.items() if "low" not in path
    }  # it is nowhere else now
    by_id = [{"imageName": "localhost/low", "imageID": low}]
    publish("localhost/top", file("top", b"2"), dependencies=by_id)
    found = place.fetch("appc:localhost/top:1.0.0")
    assert found.layers[0] == image.layers[0]
    publish("localhost/listed", file("top", b"2"), dependencies=by_id, pathWhitelist=["/low", "/top"])
    tree = place.tree(place.fetch("appc:localhost/listed:1.0.0"))
    assert sorted(path.name for path in tree.iterdir()) == ["low", "top"]


def test_a_dependency_in_the_store_that_nobody_signed_does_not_count(
    place: Place, publish: Publish, gpg: Gpg, key: str
) -> None:
    place.keys.add(gpg.public(key), "localhost", "k")
    evil = aci(manifest("localhost/low"), file("evil", b"1"))
    place.fetch(place.write(evil), "image")
    publish("localhost/low", file("good", b"1"))
    publish("localhost/top", dependencies=[{"imageName": "localhost/low", "labels": LABELS}])
    tree = place.tree(place.fetch("appc:localhost/top:1.0.0"))
    assert [path.name for path in tree.iterdir()] == ["good"]


def test_a_dependency_of_a_key_that_is_not_trusted_any_more_does_not_count(
    place: Place, publish: Publish, gpg: Gpg, key: str, other: str
) -> None:
    place.keys.add(gpg.public(key), "localhost/top", "k")
    place.keys.add(gpg.public(other), "localhost/low", "k")
    publish("localhost/low", signer=other)
    place.fetch("appc:localhost/low:1.0.0")
    publish("localhost/top", dependencies=[{"imageName": "localhost/low", "labels": LABELS}])
    assert place.fetch("appc:localhost/top:1.0.0")
    place.keys.remove(other, "localhost/low")
    with pytest.raises(Rejected, match="depends on localhost/low"):
        place.fetch("appc:localhost/top:1.0.0")


def test_an_image_that_only_claims_to_be_a_dependency_does_not_count(
    place: Place, publish: Publish, gpg: Gpg, key: str
) -> None:
    """Anybody can write the annotation; the record is what carob itself rendered."""
    low = publish("localhost/low", file("good", b"1"))
    image = place.fetch("appc:localhost/low:1.0.0", "image", name="somebody/elses:1")
    (Path(place.data) / "aci" / image.image_id[7:]).unlink()
    place.server.files["/images/localhost/low-1.0.0.aci"] = (404, {}, b"")
    publish("localhost/top", dependencies=[{"imageName": "localhost/low", "imageID": low}])
    with pytest.raises(NotFound):
        place.fetch("appc:localhost/top:1.0.0", "image")


@pytest.mark.parametrize(
    ("dependency", "error", "said"),
    [
        ({"imageID": "sha512-" + "0" * 128}, CorruptData, "with the id sha512-0"),
        ({"imageID": "sha512-0"}, CorruptData, "with the id"),
        ({"size": 1}, CorruptData, "of 1 bytes"),
        ({"labels": [{"name": "version", "value": "2"}]}, NotFound, "404"),
        ({"imageName": "localhost/none"}, NotFound, "404"),
    ],
)
def test_a_dependency_that_is_not_what_it_should_be_is_refused(
    place: Place, publish: Publish, dependency: dict[str, Any], error: type[CarobError], said: str
) -> None:
    publish("localhost/low")
    publish("localhost/top", dependencies=[{"imageName": "localhost/low", "labels": LABELS, **dependency}])
    with pytest.raises(error, match="depends on localhost/") as caught:
        place.fetch("appc:localhost/top:1.0.0", "image")
    assert said in caught.value.message
    assert place.store.list() == []


def test_a_dependency_of_the_right_size_and_id_is_taken(place: Place, publish: Publish) -> None:
    low = publish("localhost/low")
    size = len(place.server.files["/images/localhost/low-1.0.0.aci"])
    for identifier in (low, low[:71]):
        dependency = {"imageName": "localhost/low", "labels": LABELS, "imageID": identifier, "size": size}
        publish("localhost/top", dependencies=[dependency])
        assert place.fetch("appc:localhost/top:1.0.0", "image")


def test_an_unsigned_dependency_of_a_signed_image_is_refused(
    place: Place, publish: Publish, gpg: Gpg, key: str
) -> None:
    place.keys.add(gpg.public(key), "localhost", "k")
    publish("localhost/low", signer="")
    publish("localhost/top", dependencies=[{"imageName": "localhost/low", "labels": LABELS}])
    with pytest.raises(Rejected, match=r"depends on localhost/low.*not signed"):
        place.fetch("appc:localhost/top:1.0.0")


def test_dependencies_in_a_circle_are_refused(place: Place, publish: Publish) -> None:
    publish("localhost/a", dependencies=[{"imageName": "localhost/b", "labels": LABELS}])
    publish("localhost/b", dependencies=[{"imageName": "localhost/a", "labels": LABELS}])
    with pytest.raises(CorruptData, match="depends on itself"):
        place.fetch("appc:localhost/a:1.0.0", "image")


def test_dependencies_without_end_are_refused(place: Place, publish: Publish) -> None:
    for number in range(12):
        publish(
            f"localhost/i{number}",
            dependencies=[{"imageName": f"localhost/i{number + 1}", "labels": LABELS}],
        )
    with pytest.raises(CorruptData, match="more than 5 deep"):
        place.fetch("appc:localhost/i0:1.0.0", "image", limits=AciLimits(depth=5))
    assert not any("i7" in path for path in place.server.requests)


def test_a_dependency_is_downloaded_once(place: Place, publish: Publish) -> None:
    depends = [{"imageName": "localhost/low", "labels": LABELS}]
    publish("localhost/low", file("x"))
    publish("localhost/b", dependencies=depends)
    publish("localhost/c", dependencies=depends)
    publish("localhost/a", dependencies=[{"imageName": f"localhost/{one}", "labels": LABELS} for one in "bc"])
    image = place.fetch("appc:localhost/a:1.0.0", "image")
    assert len(image.layers) == 5
    assert place.server.requests.count("/images/localhost/low-1.0.0.aci") == 1

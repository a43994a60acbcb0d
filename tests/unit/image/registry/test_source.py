"""An image as a source: mirrors in their order, then the registry, and each with its own credentials."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from carob.errors import CorruptData, NotFound, PermissionDenied, Rejected, Unavailable, Unsupported
from carob.image import Store, Trees
from carob.image.fetch.fetch import fetch
from carob.image.fetch.pull import FetchOptions, PullPolicy, pull
from carob.image.registry.configuration import Configuration, Mirror, Pull, Rule
from carob.image.registry.credentials import Credentials, Keyring
from carob.image.registry.limits import Limits
from carob.image.registry.proxies import Proxies
from carob.image.registry.source import RegistrySource
from carob.image.sources.open import Remotes
from carob.image.sources.source import Source
from carob.spec.address import DOCKER, ImageAddress
from carob.spec.oci.descriptor import INDEX
from carob.spec.reference import parse_reference
from tests.needs import require_root
from tests.parts.faults import Answer, Drop, Flip, Headers, Redirect, Stall, unavailable
from tests.parts.faulty_proxy import FaultyProxy
from tests.parts.registry import Registry as Part
from tests.unit.image.archives import member, tar
from tests.unit.image.registry.conftest import Connect
from tests.unit.image.registry.images import Image, describe, index_of, noise

Proxy = Callable[..., FaultyProxy]
Make = Callable[..., RegistrySource]
LAYER = noise(2 << 20)
BASIC = {"WWW-Authenticate": 'Basic realm="x"'}


@pytest.fixture
def make(limits: Limits) -> Iterator[Make]:
    made: list[RegistrySource] = []

    def source(name: str, *mirrors: Mirror, rule: str = "", **options: object) -> RegistrySource:
        host = name.partition("/")[0]
        rules = {rule or host: Rule(prefix=rule or host, mirrors=mirrors)}
        settings = {"limits": limits, "proxies": Proxies({}), "keyring": Keyring({}), **options}
        made.append(RegistrySource(parse_reference(name), Configuration({}, rules), **settings))  # type: ignore[arg-type]
        return made[-1]

    yield source
    for one in made:
        one.close()


def asked(front: FaultyProxy) -> list[str]:
    return [seen.target for seen in front.seen if seen.target != "/v2/"]


@pytest.fixture
def image(registry: Part, connect: Connect) -> Image:
    made = Image(b"small", LAYER)
    made.push(connect(registry.host), "source/app", "1")
    return made


def read_all(source: Source, blob_of: Image, index: int = 1, offset: int = 0) -> bytes:
    reader = source.open_blob(blob_of.layers[index], offset)
    pieces = []
    while piece := reader.read(1 << 16):
        pieces.append(piece)
    reader.close()
    return b"".join(pieces)


def test_all_of_an_image(registry: Part, image: Image, make: Make) -> None:
    source: Source = make(f"{registry.host}/source/app:1")
    assert source.name == f"docker://{registry.host}/source/app:1"
    assert source.reference == f"{registry.host}/source/app:1"
    assert source.root() == (image.descriptor, image.manifest)
    assert source.document(image.config) == image.blobs[image.config.digest]
    assert source.document(image.descriptor) == image.manifest
    assert read_all(source, image) == LAYER
    assert read_all(source, image, offset=1000) == LAYER[1000:]


def test_by_digest(registry: Part, image: Image, make: Make) -> None:
    source = make(f"{registry.host}/source/app:no-such-tag@{image.descriptor.digest}")
    assert source.root() == (image.descriptor, image.manifest)
    assert source.head() == image.descriptor


def test_an_index_and_what_is_below_it(registry: Part, connect: Connect, make: Make) -> None:
    client, images = connect(registry.host), (Image(b"a"), Image(b"b"))
    for one in images:
        one.push(client, "source/index", one.descriptor.digest)
    descriptor, data = index_of(*images)
    client.put_manifest("source/index", "both", INDEX, data)
    source = make(f"{registry.host}/source/index:both")
    assert source.root() == (descriptor, data)
    assert source.document(images[1].descriptor) == images[1].manifest


def test_what_is_no_image(faulty_proxy: Proxy, make: Make) -> None:
    front = faulty_proxy()
    front.add(
        Answer(200, {"Content-Type": "application/vnd.x+json"}, b"{}"), target="/manifests/", times=None
    )
    with pytest.raises(Unsupported, match=r"is no image, but 'application/vnd\.x\+json'"):
        make(f"{front.host}/x:1").root()


def test_what_is_nowhere(registry: Part, make: Make) -> None:
    with pytest.raises(NotFound, match="source/none:1"):
        make(f"{registry.host}/source/none:1").root()


def test_a_mirror_is_asked_and_the_registry_is_not(
    registry: Part, image: Image, faulty_proxy: Proxy, make: Make
) -> None:
    origin, mirror = faulty_proxy(), faulty_proxy(registry)
    source = make(f"{origin.host}/app:1", Mirror(location=f"{mirror.host}/source"))
    assert source.root() == (image.descriptor, image.manifest)
    assert read_all(source, image) == LAYER
    assert origin.seen == []
    assert source.reference == f"{origin.host}/app:1"  # what it is called does not change


@pytest.mark.parametrize(
    "fault",
    [
        Answer(404),
        Answer(401, BASIC),
        Answer(403),
        Answer(400),
        Answer(500),
        unavailable("3600"),
        Drop(None),
        Redirect("{self}{target}"),
        Redirect("file:///etc/passwd"),
        Answer(200, {"Content-Type": "text/html"}, b"<html>please log in</html>"),
        Answer(200, {"Content-Type": "application/vnd.docker.distribution.manifest.v1+json"}, b"{}"),
        Headers({"Docker-Content-Digest": "sha256:" + "0" * 64}),
        Flip(3),
    ],
)
def test_a_mirror_that_fails_is_passed_over(
    registry: Part, image: Image, faulty_proxy: Proxy, make: Make, fault: Answer
) -> None:
    mirror = faulty_proxy(registry)
    mirror.add(fault, target="/manifests/|/blobs/", times=None)
    source = make(f"{registry.host}/source/app:1", Mirror(location=mirror.host))
    assert source.root() == (image.descriptor, image.manifest)
    assert source.document(image.config) == image.blobs[image.config.digest]
    assert read_all(source, image) == LAYER


def test_a_mirror_that_is_silent_is_not_waited_for_long(
    registry: Part, image: Image, faulty_proxy: Proxy, make: Make, limits: Limits
) -> None:
    mirror = faulty_proxy()
    mirror.add(Stall(None), target="/manifests/", times=None)
    source = make(
        f"{registry.host}/source/app:1",
        Mirror(location=mirror.host),
        limits=replace(limits, headers_s=0.3, attempts=5),
    )
    assert source.root()[0] == image.descriptor
    assert len(asked(mirror)) == 2  # however many attempts there are elsewhere


def test_mirrors_are_asked_in_their_order_and_the_good_one_from_then_on(
    registry: Part, image: Image, faulty_proxy: Proxy, make: Make
) -> None:
    first, second, third = faulty_proxy(), faulty_proxy(registry), faulty_proxy(registry)
    source = make(
        f"{registry.host}/source/app:1", *(Mirror(location=front.host) for front in (first, second, third))
    )
    source.root()
    assert len(asked(first)) == 1
    source.document(image.config)
    read_all(source, image)
    assert len(asked(first)) == 1
    assert len(asked(second)) == 3
    assert asked(third) == []


def test_what_one_mirror_has_not_got_another_may(
    registry: Part, image: Image, faulty_proxy: Proxy, make: Make
) -> None:
    mirror = faulty_proxy(registry)
    mirror.add(Answer(404), target="/blobs/", times=None)
    source = make(f"{registry.host}/source/app:1", Mirror(location=mirror.host))
    assert source.root()[0] == image.descriptor
    assert read_all(source, image) == LAYER
    assert [target for target in asked(mirror) if "/manifests/" in target]


def test_a_blob_that_breaks_off_is_gone_on_with_elsewhere(
    registry: Part, image: Image, faulty_proxy: Proxy, make: Make
) -> None:
    mirror = faulty_proxy(registry)
    mirror.add(Drop(1_000_000), target="/blobs/")
    mirror.add(Answer(503), target="/blobs/", times=None)
    source = make(f"{registry.host}/source/app:1", Mirror(location=mirror.host))
    mark = registry.mark()
    assert read_all(source, image) == LAYER
    last = registry.requests(mark)[-1]
    assert last.status == 206  # the rest only


@pytest.mark.parametrize(
    ("pull", "by_tag", "by_digest"), [(Pull.ALL, 1, 1), (Pull.DIGEST_ONLY, 0, 1), (Pull.TAG_ONLY, 1, 0)]
)
def test_mirrors_for_some_pulls(
    registry: Part, image: Image, faulty_proxy: Proxy, make: Make, pull: Pull, by_tag: int, by_digest: int
) -> None:
    for name, times in (("app:1", by_tag), (f"app@{image.descriptor.digest}", by_digest)):
        mirror = faulty_proxy(registry)
        source = make(f"{registry.host}/source/{name}", Mirror(location=mirror.host, pull=pull))
        source.root()
        assert len(asked(mirror)) == times


def test_a_mirror_for_every_host_is_told_which(
    registry: Part, image: Image, faulty_proxy: Proxy, make: Make
) -> None:
    mirror = faulty_proxy(registry)
    source = make("upstream.example/source/app:1", Mirror(location=mirror.host), rule="*")
    assert source.root()[0] == image.descriptor
    read_all(source, image)
    assert asked(mirror) == [
        "/v2/source/app/manifests/1?ns=upstream.example",
        f"/v2/source/app/blobs/{image.layers[1].digest}?ns=upstream.example",
    ]


def test_when_all_fail_the_registrys_own_error_is_raised_with_the_mirrors_words(
    faulty_proxy: Proxy, make: Make
) -> None:
    origin, mirror = faulty_proxy(), faulty_proxy()
    mirror.add(Answer(403), target="/manifests/", times=None)
    with pytest.raises(NotFound) as caught:
        make(f"{origin.host}/app:1", Mirror(location=f"{mirror.host}/cache")).root()
    assert origin.host in caught.value.message
    assert f"mirrors: {mirror.host}: " in caught.value.hint
    assert "does not allow it" in caught.value.hint


def test_each_place_gets_its_own_credentials_and_no_others(
    faulty_proxy: Proxy, make: Make, home: Path
) -> None:
    import base64
    import json

    origin, mirror = faulty_proxy(), faulty_proxy()
    for front in (origin, mirror):
        front.add(Answer(401, BASIC), times=None)
    entry = {"auth": base64.b64encode(b"bob:mirrors").decode()}
    other = {"auth": base64.b64encode(b"bob:origins").decode()}
    (home / "auth.json").write_text(json.dumps({"auths": {mirror.host: entry, origin.host: other}}))
    mine = Credentials("ann", "mine")
    source = make(
        f"{origin.host}/app:1",
        Mirror(location=mirror.host),
        keyring=Keyring({"REGISTRY_AUTH_FILE": str(home / "auth.json")}),
        credentials=mine,
    )
    with pytest.raises(PermissionDenied):
        source.root()
    sent = {
        front: {seen.headers["Authorization"] for seen in front.seen} - {None} for front in (origin, mirror)
    }
    assert sent == {origin: {mine.basic}, mirror: {f"Basic {entry['auth']}"}}


def test_explicit_credentials_are_not_for_mirrors(faulty_proxy: Proxy, make: Make) -> None:
    origin, mirror = faulty_proxy(), faulty_proxy()
    for front in (origin, mirror):
        front.add(Answer(401, BASIC), times=None)
    source = make(
        f"{origin.host}/app:1", Mirror(location=mirror.host), credentials=Credentials("ann", "mine")
    )
    with pytest.raises(PermissionDenied):
        source.root()
    assert {seen.headers["Authorization"] for seen in mirror.seen} == {None}


def test_a_blocked_registry_is_not_talked_to(faulty_proxy: Proxy) -> None:
    front = faulty_proxy()
    rules = {front.host: Rule(prefix=front.host, blocked=True, file="registries.toml")}
    with pytest.raises(Rejected, match="blocked"):
        RegistrySource(parse_reference(f"{front.host}/app:1"), Configuration({}, rules))
    assert front.seen == []


def test_wrong_bytes_of_a_document_are_not_handed_on(faulty_proxy: Proxy, make: Make) -> None:
    front = faulty_proxy()
    front.add(Answer(200, {}, b"evil"), times=None)
    with pytest.raises(CorruptData):
        make(f"{front.host}/app:1").document(describe(b"good"))


def test_a_mirror_whose_bytes_were_wrong_is_asked_no_more(
    registry: Part, image: Image, faulty_proxy: Proxy, make: Make
) -> None:
    liar, honest = faulty_proxy(registry), faulty_proxy(registry)
    liar.add(Flip(1_000_000), target="/blobs/", times=None)
    source = make(f"{registry.host}/source/app:1", Mirror(location=liar.host), Mirror(location=honest.host))
    source.root()
    assert read_all(source, image) != LAYER
    assert source.distrust(image.layers[1])
    assert read_all(source, image) == LAYER
    assert source.document(image.config)
    assert [target for target in asked(honest) if "/blobs/" in target]
    assert len([target for target in asked(liar) if "/blobs/" in target]) == 1
    assert source.distrust(image.layers[1])  # the honest one, if somebody says so
    assert read_all(source, image) == LAYER
    assert not source.distrust(image.layers[1])  # the registry itself there is nobody to stand in for


def test_closing_ends_what_is_under_way(
    registry: Part, image: Image, faulty_proxy: Proxy, make: Make
) -> None:
    front = faulty_proxy(registry)
    front.add(Stall(0), target="/blobs/", times=None)
    source = make(f"{front.host}/source/app:1", limits=Limits(stall_s=60))
    reader = source.open_blob(image.layers[1])
    timer = threading.Timer(0.2, source.close)
    timer.start()
    with pytest.raises(Unavailable, match="given up"):
        reader.read(1 << 20)
    timer.join()
    reader.close()


@pytest.mark.parametrize("unpacks", [False, True], ids=["stored", "unpacked"])
def test_a_fetch_gets_elsewhere_what_a_mirror_lies_about(
    registry: Part, faulty_proxy: Proxy, make: Make, connect: Connect, tmp_path: Path, unpacks: bool
) -> None:
    """Each liar is asked once for the blob, in the same fetch, and nothing of theirs stays."""
    layers = [tar(member(f"file{number}", noise(300_000, number))) for number in range(2)]
    made = Image(*layers)
    made.push(connect(registry.host), "mirrored/app", "1")
    liars = [faulty_proxy(registry) for _ in range(2)]
    for liar in liars:
        liar.add(Flip(100), target=made.layers[1].digest, times=None)  # in the header of the tar
    source = make(f"{registry.host}/mirrored/app:1", *(Mirror(location=liar.host) for liar in liars))
    store, trees = Store(str(tmp_path / "data")), None
    if unpacks:
        require_root()
        trees = Trees(store.directory)
    image = fetch(store, trees, source)
    assert [layer.digest for layer in image.layers] == [layer.digest for layer in made.layers]
    for liar in liars:
        assert len([target for target in asked(liar) if made.layers[1].digest in target]) == 1
    assert store.verify().broken == ()
    assert os.listdir(f"{store.layout.path}/.tmp") == []


def test_where_all_lie_it_is_said_and_ends(
    registry: Part, image: Image, faulty_proxy: Proxy, make: Make, tmp_path: Path
) -> None:
    mirror, origin = faulty_proxy(registry), faulty_proxy(registry)
    for front in (mirror, origin):
        front.add(Flip(1000), target=image.layers[1].digest, times=None)
    source = make(f"{origin.host}/source/app:1", Mirror(location=mirror.host))
    with pytest.raises(CorruptData, match=image.layers[1].digest):
        fetch(Store(str(tmp_path / "data")), None, source)
    for front in (mirror, origin):
        assert len([target for target in asked(front) if image.layers[1].digest in target]) == 1
    assert os.listdir(tmp_path / "data/images/.tmp") == []


def test_an_answer_that_is_none_is_called_that(
    store: Store, registry: Part, connect: Connect, faulty_proxy: Proxy, make: Make
) -> None:
    """That the store does not have it yet is not the reason, though it is looked for there first."""
    front, image = faulty_proxy(registry), Image(b"a")
    image.push(connect(registry.host), "source/long")
    _, data = index_of(image)
    connect(registry.host).put_manifest("source/long", "1", INDEX, data)
    front.add(Headers({"X-Long": "x" * 100_000}), target=image.descriptor.digest, times=None)
    with pytest.raises(Unavailable, match="the answer is not HTTP"):
        fetch(store, None, make(f"{front.host}/source/long:1"))


def test_whether_it_is_new_is_asked_without_getting_it(
    store: Store, registry: Part, connect: Connect, faulty_proxy: Proxy, make: Make
) -> None:
    front, client = faulty_proxy(registry), connect(registry.host)
    address = ImageAddress(DOCKER, f"{front.host}/source/new:1")

    def requests() -> list[str]:
        before = len(front.seen)
        options = FetchOptions(remotes=Remotes(registry=lambda name: make(str(name))))
        pull(store, None, address, policy=PullPolicy.NEW, options=options)
        return [seen.method for seen in front.seen[before:] if "/manifests/" in seen.target]

    Image(b"first").push(client, "source/new", "1")
    assert requests() == ["GET"]
    assert requests() == ["HEAD"]
    Image(b"second").push(client, "source/new", "1")
    assert requests() == ["HEAD", "GET"]
    front.add(Answer(405), method="HEAD", times=None)
    assert requests() == ["HEAD", "GET"]

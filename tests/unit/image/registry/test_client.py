"""The endpoints against a real registry, and against one that does not tell the truth about documents."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from carob.errors import (
    CorruptData,
    InvalidInput,
    NotFound,
    Unavailable,
    Unsupported,
)
from carob.spec.oci.descriptor import DOCKER_MANIFEST, INDEX, MANIFEST, Descriptor
from carob.spec.oci.document import DOCUMENT_BYTES
from tests.parts.faults import Answer, Chunked, Endless, Headers
from tests.parts.faulty_proxy import FaultyProxy
from tests.parts.registry import Registry as Part
from tests.unit.image.registry.conftest import Connect, ping
from tests.unit.image.registry.images import Image, describe, digest, index_of, noise

Proxy = Callable[..., FaultyProxy]
ABSENT = "sha256:" + "0" * 64


def test_a_manifest_by_tag_and_by_digest(registry: Part, connect: Connect) -> None:
    client, image = connect(registry.host), Image(b"layer")
    image.push(client, "client/plain", "one", "two")
    for reference in ("one", "two", image.descriptor.digest):
        assert client.manifest("client/plain", reference) == (image.descriptor, image.manifest)
        assert client.head_manifest("client/plain", reference) == image.descriptor
    assert registry.inspect("client/plain", "one") == json.loads(image.manifest)  # skopeo agrees


def test_an_index(registry: Part, connect: Connect) -> None:
    client, images = connect(registry.host), (Image(b"one"), Image(b"two"))
    for image in images:
        image.push(client, "client/index", image.descriptor.digest)
    descriptor, data = index_of(*images)
    client.put_manifest("client/index", "both", INDEX, data)
    assert client.manifest("client/index", "both") == (descriptor, data)
    assert client.head_manifest("client/index", "both") == descriptor


def test_blobs(registry: Part, connect: Connect) -> None:
    client, image = connect(registry.host), Image(b"layer of blobs")
    image.push(client, "client/blobs")
    (layer,) = image.layers
    assert client.has_blob("client/blobs", layer.digest)
    assert not client.has_blob("client/blobs", ABSENT)
    assert client.blob_document("client/blobs", layer) == b"layer of blobs"
    with pytest.raises(NotFound, match="client/blobs@sha256:000000"):
        client.get_blob("client/blobs", ABSENT)


def test_what_is_not_there_is_named(registry: Part, connect: Connect) -> None:
    client = connect(registry.host)
    with pytest.raises(NotFound) as caught:
        client.manifest("client/none", "1")
    assert f"docker://{registry.host}/client/none:1" in caught.value.message
    assert caught.value.hint
    with pytest.raises(NotFound):
        client.head_manifest("client/none", "1")


def test_ping(registry: Part, connect: Connect) -> None:
    ping(connect(registry.host))


def test_a_closed_client_fails(registry: Part, connect: Connect) -> None:
    client = connect(registry.host)
    ping(client)
    client.close()
    with pytest.raises(Unavailable, match="given up"):
        ping(client)


def test_connections_are_used_again(registry: Part, faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy(registry)
    opened = []
    accept = front._listener.get_request
    front._listener.get_request = lambda: opened.append(1) or accept()  # type: ignore[method-assign, func-returns-value]
    client, image = connect(front.host), Image(noise(100_000))
    image.push(client, "client/again")
    before = len(opened)
    for _ in range(5):
        client.manifest("client/again", "latest")
        client.head_manifest("client/again", "latest")
        client.has_blob("client/again", ABSENT)
        client.has_blob("client/again", image.layers[0].digest)
        client.blob_document("client/again", image.config)
        with pytest.raises(NotFound):
            client.manifest("client/again", "none")
    assert len(opened) == before


# --- documents that are not what they should be ---------------------------------------------------


def answering(front: FaultyProxy, body: bytes, media_type: str = MANIFEST, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    front.add(Answer(200, {"Content-Type": media_type, **named}, body), target="/manifests/", times=None)


def test_a_digest_that_is_not_the_bytes(faulty_proxy: Proxy, connect: Connect) -> None:
    front, image = faulty_proxy(), Image(b"x")
    answering(front, image.manifest)
    with pytest.raises(CorruptData, match=f"digest {image.descriptor.digest}, not {ABSENT}"):
        connect(front.host).manifest("x", ABSENT)


def test_a_digest_header_that_is_not_the_bytes(faulty_proxy: Proxy, connect: Connect) -> None:
    front, image = faulty_proxy(), Image(b"x")
    answering(front, image.manifest, Docker_Content_Digest=ABSENT)
    with pytest.raises(CorruptData, match=f"not {ABSENT}"):
        connect(front.host).manifest("x", "latest")
    with pytest.raises(CorruptData, match=f"its digest is {ABSENT}"):
        connect(front.host).head_manifest("x", image.descriptor.digest)


def test_a_digest_of_another_kind_is_passed_over(faulty_proxy: Proxy, connect: Connect) -> None:
    front, image = faulty_proxy(), Image(b"x")
    answering(
        front, image.manifest, Docker_Content_Digest="sha512:" + hashlib.sha512(image.manifest).hexdigest()
    )
    assert connect(front.host).manifest("x", "latest")[0] == image.descriptor
    assert connect(front.host).head_manifest("x", "latest") == image.descriptor


@pytest.mark.parametrize("missing", ["Docker-Content-Digest", "Content-Type"])
def test_a_head_that_says_too_little_is_made_up_for(
    registry: Part, faulty_proxy: Proxy, connect: Connect, missing: str
) -> None:
    image, front = Image(b"silent"), faulty_proxy(registry)
    image.push(connect(registry.host), "client/silent")
    front.add(Headers({missing: None}), method="HEAD", times=None)
    assert connect(front.host).head_manifest("client/silent", "latest") == image.descriptor


def test_a_manifest_sent_in_chunks(registry: Part, faulty_proxy: Proxy, connect: Connect) -> None:
    image, front = Image(b"chunked"), faulty_proxy(registry)
    image.push(connect(registry.host), "client/chunked")
    front.add(Chunked(), target="/manifests/", times=None)
    assert connect(front.host).manifest("client/chunked", "latest") == (image.descriptor, image.manifest)


@pytest.mark.parametrize("told", [str(DOCUMENT_BYTES + 1), "99999999999999999999"])
def test_a_manifest_that_is_too_large_by_its_own_words_is_not_read(
    faulty_proxy: Proxy, connect: Connect, told: str
) -> None:
    front = faulty_proxy()
    front.add(_Claims(told), target="/manifests/")
    with pytest.raises(CorruptData, match="larger than"):
        connect(front.host).manifest("x", "latest")
    assert front.seen[-1].body_sent < 1 << 20


class _Claims(Answer):
    def __init__(self, length: str) -> None:
        super().__init__(200, {"Content-Type": MANIFEST}, b"{")
        self.length = length

    def before(self, exchange):  # type: ignore[no-untyped-def]
        reply = super().before(exchange)
        assert reply is not None
        reply.length = int(self.length)
        reply.close = True
        return reply


def test_a_manifest_without_end(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    front.add(Endless(b"{"), target="/manifests/")
    with pytest.raises(CorruptData, match=f"larger than {DOCUMENT_BYTES} bytes"):
        connect(front.host).manifest("x", "latest")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, gzip, gzip, gzip, gzip, gzip", "x"])
def test_an_encoding_that_was_not_asked_for_is_not_undone(
    faulty_proxy: Proxy, connect: Connect, encoding: str
) -> None:
    front = faulty_proxy()
    answering(front, gzip.compress(b" " * (64 << 20)), Content_Encoding=encoding)
    with pytest.raises(CorruptData, match="which was not asked for"):
        connect(front.host).manifest("x", "latest")
    assert front.seen[-1].headers["Accept-Encoding"] == "identity"


def test_a_document_that_is_two_things(faulty_proxy: Proxy, connect: Connect) -> None:
    front, image = faulty_proxy(), Image(b"x")
    answering(front, image.manifest, INDEX)
    with pytest.raises(CorruptData, match="says itself that it is"):
        connect(front.host).manifest("x", "latest")


@pytest.mark.parametrize(
    ("told", "body", "expected"),
    [
        (f"{MANIFEST}; charset=utf-8", b'{"layers": []}', MANIFEST),
        ("application/json", b'{"layers": []}', MANIFEST),
        ("text/plain", b'{"manifests": []}', INDEX),
        ("", b'{"mediaType": "%s"}' % DOCKER_MANIFEST.encode(), DOCKER_MANIFEST),
        (DOCKER_MANIFEST.upper(), b"{}", DOCKER_MANIFEST),
    ],
)
def test_what_a_document_is(
    faulty_proxy: Proxy, connect: Connect, told: str, body: bytes, expected: str
) -> None:
    front = faulty_proxy()
    answering(front, body, told)
    assert connect(front.host).manifest("x", "latest")[0] == describe(body, expected)


def test_a_manifest_of_schema_1(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    answering(front, b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws")
    with pytest.raises(Unsupported, match="schema 1"):
        connect(front.host).manifest("x", "latest")


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"<html>", b"[" * 100_000, b'{"mediaType": 1}'])
def test_what_is_no_document(faulty_proxy: Proxy, connect: Connect, body: bytes) -> None:
    front = faulty_proxy()
    answering(front, body)
    with pytest.raises(CorruptData, match=r"x:latest"):
        connect(front.host).manifest("x", "latest")


def test_a_configuration_of_another_size(registry: Part, connect: Connect) -> None:
    client, image = connect(registry.host), Image(noise(100))
    image.push(client, "client/size")
    (layer,) = image.layers
    for size in (1, 99, 101, 1 << 62):
        with pytest.raises(CorruptData):
            client.blob_document("client/size", Descriptor(layer.media_type, layer.digest, size))


def test_a_configuration_with_other_bytes(registry: Part, faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    front.add(Answer(200, {}, b"evil!"), target="/blobs/")
    with pytest.raises(CorruptData, match=f"digest {digest(b'evil!')}"):
        connect(front.host).blob_document("x", describe(b"good!"))


# --- names that are no names ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "a b",
        "a\r\nX-Evil: 1",
        "a/../../../evil",
        "..",
        "a?b",
        "a#b",
        "a%2Fb",
        "a@b",
        "\u00e4",
        "a" * 129,
        "sha256:x",
        "sha256:" + "g" * 64,
        "sha512:" + "0" * 128,
    ],
)
def test_a_tag_that_is_none_is_never_sent(faulty_proxy: Proxy, connect: Connect, tag: str) -> None:
    front = faulty_proxy()
    client = connect(front.host)
    for call in (
        client.manifest,
        client.head_manifest,
        lambda *names: client.put_manifest(*names, MANIFEST, b"{}"),
    ):
        with pytest.raises(InvalidInput):
            call("x", tag)
    assert {seen.target for seen in front.seen} <= {"/v2/"}


@pytest.mark.parametrize("media_type", ["a/b\r\nX-Evil: 1", "a/b\n c", "a b", "\u00e4", "a/b\x00"])
def test_a_media_type_that_is_none_is_never_sent(
    faulty_proxy: Proxy, connect: Connect, media_type: str
) -> None:
    front = faulty_proxy()
    with pytest.raises(InvalidInput, match="no media type"):
        connect(front.host).put_manifest("x", "latest", media_type, b"{}")
    assert front.seen == []


@pytest.mark.parametrize(
    "repository",
    ["", "/", "a//b", "../a", "a/../b", "A", "a b", "a\r\nb", "a?b", "a:b", "a@b", "\u00e4", "a/" * 200],
)
def test_a_repository_that_is_none_is_never_sent(
    faulty_proxy: Proxy, connect: Connect, repository: str
) -> None:
    front = faulty_proxy()
    client = connect(front.host)
    for call in (
        lambda: client.manifest(repository, "latest"),
        lambda: client.has_blob(repository, ABSENT),
        lambda: client.get_blob(repository, ABSENT),
    ):
        with pytest.raises(InvalidInput):
            call()
    assert {seen.target for seen in front.seen} <= {"/v2/"}


# --- threads and imports --------------------------------------------------------------------------


def test_many_threads_at_once(registry: Part, connect: Connect) -> None:
    client, image = connect(registry.host), Image(noise(300_000))
    image.push(client, "client/threads")
    faults: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                assert client.manifest("client/threads", "latest")[1] == image.manifest
                assert client.blob_document("client/threads", image.layers[0]) == noise(300_000)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_urllib3_is_loaded_when_a_registry_is_talked_to_and_not_before() -> None:
    script = """
import sys
import carob.image.registry.source, carob.image.registry.push, carob.image.registry.configuration
from carob.image.registry.client import Registry
from carob.image.registry.endpoint import Endpoint
Registry(Endpoint(host="a.example")).close()
print(*(name for name in ("urllib3", "ssl", "http.client", "requests", "certifi") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"

"""Good answers with bytes of them changed: whatever a server sends, what comes out is carob's errors."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from carob.errors import CarobError
from carob.image.registry.blob import BlobStream, begin_blob
from carob.image.registry.client import Registry
from carob.image.registry.credentials import Credentials
from carob.image.registry.limits import Limits
from tests.unit.image.registry.conftest import Connect
from tests.unit.image.registry.images import Image
from tests.unit.image.registry.raw_server import Conversation, RawServer

IMAGE = Image(b"layer" * 100)
SECRET = "hunter2-is-my-password"
LOOKED_FOR = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
PIECES = (
    b"\r\n",
    b"\r\n\r\n",
    b":",
    b" ",
    b'"',
    b",",
    b"\x00",
    b"\x1b[2J",
    b"\xff",
    b"-1",
    b"0",
    b"9" * 30,
    b"chunked",
    b"gzip",
    b"http://[",
    b"file:///etc/passwd",
    b"HTTP/1.1 ",
    b"200",
    b"206",
    b"302",
    b"401",
    b"416",
    b"503",
    b"Location: ",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked",
    b"Content-Range: bytes 0-9/10",
    b"WWW-Authenticate: Bearer realm=",
    b"Docker-Content-Digest: sha256:00",
)


def good_answers(host: str) -> list[bytes]:
    there = host.encode()

    def answer(status: bytes, headers: bytes, body: bytes = b"") -> bytes:
        return b"HTTP/1.1 %s\r\n%s\r\nContent-Length: %d\r\n\r\n%s" % (status, headers, len(body), body)

    layer, manifest = IMAGE.blobs[IMAGE.layers[0].digest], IMAGE.manifest
    challenge = (
        b'WWW-Authenticate: Bearer realm="http://%s/token",service="s",scope="repository:x:pull"' % there
    )
    return [
        answer(b"200 OK", b"Docker-Content-Digest: " + IMAGE.descriptor.digest.encode(), manifest),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (len(manifest), manifest),
        answer(b"200 OK", b"X: y", layer),
        answer(b"206 Partial", b"Content-Range: bytes 100-499/500", layer[100:]),
        answer(b"302 Found", b"Location: http://%s/elsewhere" % there),
        answer(b"401 Unauthorized", challenge),
        answer(b"200 OK", b"X: y", b'{"token": "t0", "expires_in": 60}'),
        answer(b"429 Slow", b"Retry-After: 0", b'{"errors": [{"code": "X", "message": "slow"}]}'),
        answer(b"202 Accepted", b"Location: /upload?x=1\r\nRange: 0-99"),
        answer(b"201 Created", b"Location: /x"),
        answer(b"404 Not Found", b"X: y"),
    ]


def mutate(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 2, 4, 10))):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(4):
            case 0:
                changed[at:at] = chance.choice(PIECES)
            case 1:
                del changed[at : at + chance.choice((1, 2, 10))]
            case 2:
                changed[at : at + chance.randrange(30)] = chance.choice(PIECES)
            case _:
                del changed[at:]
    return bytes(changed)


def read(client: Registry, offset: int) -> None:
    blob = IMAGE.layers[0]
    reader = BlobStream(
        lambda at: begin_blob(client, "x", blob, at), blob, offset, name="b", limits=client.limits
    )
    try:
        size = reader.offset
        while piece := reader.read(100):
            size += len(piece)
        assert size == blob.size_bytes
    finally:
        reader.close()


CALLS: tuple[Callable[[Registry], object], ...] = (
    lambda client: client.manifest("x", "latest"),
    lambda client: client.head_manifest("x", "latest"),
    lambda client: client.blob_document("x", IMAGE.config),
    lambda client: read(client, 0),
    lambda client: read(client, 100),
    lambda client: IMAGE.push(client, "x"),
)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_mutated_answers(
    seed: int, raw_server: Callable[..., RawServer], connect: Connect, limits: Limits
) -> None:
    chance = random.Random(seed)

    def speak(conversation: Conversation) -> None:
        if b"GET /v2/ HTTP" in conversation.request:
            conversation.send(LOOKED_FOR)
        else:
            conversation.send(mutate(chance.choice(good_answers(server.host)), chance))

    server = raw_server(speak)
    quick = replace(
        limits, headers_s=1, stall_s=1, document_s=2, attempts=2, longest_wait_s=0.05, request_s=5
    )
    for _ in range(20):
        client = connect(server.host, limits=quick, find_credentials=lambda _: Credentials("ann", SECRET))
        try:
            chance.choice(CALLS)(client)
        except CarobError as error:
            said = error.message + error.hint
            assert said.isprintable(), said
            assert SECRET not in said
        finally:
            client.close()

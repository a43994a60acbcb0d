"""Pushing to a real registry, through a front that breaks, forgets and lies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from carob.errors import CarobError, CorruptData, InvalidInput, NotFound, Rejected, Unavailable
from carob.image.registry.client import Registry
from carob.image.registry.limits import Limits
from carob.image.registry.push import BlobProgress, Outgoing, push_image
from carob.image.registry.upload import Outcome, Upload, _range_end
from carob.spec.oci.descriptor import Descriptor
from tests.needs import require_command
from tests.parts import skopeo
from tests.parts.faults import Answer, Drop, Fault, Hangup, Headers, Hold, Stall, too_many, unavailable
from tests.parts.faulty_proxy import FaultyProxy
from tests.parts.registry import Registry as Part
from tests.unit.image.registry.conftest import Connect
from tests.unit.image.registry.images import Image, Memory, describe, index_of, noise

Proxy = Callable[..., FaultyProxy]
CHUNK = 300_000
DATA = noise(1_000_000, seed=1)


def upload(client: Registry, repository: str, data: bytes = DATA, **options: object) -> Outcome:
    settings = {"chunk_bytes": CHUNK, **options}
    return Upload(
        client,
        repository,
        describe(data),
        lambda offset: Memory(data, offset),
        **settings,  # type: ignore[arg-type]
    ).run()


def is_there(part: Part, connect: Connect, repository: str, data: bytes = DATA) -> bool:
    return connect(part.host).blob_document(repository, describe(data)) == data


def requests(front: FaultyProxy) -> list[str]:
    return [seen.method for seen in front.seen if seen.target != "/v2/"]


# --- images ---------------------------------------------------------------------------------------


def test_what_is_pushed_other_tools_pull(registry: Part, connect: Connect, tmp_path: Path) -> None:
    require_command("skopeo")
    image = Image(noise(100_000), noise(200_000))
    image.push(connect(registry.host), "push/app", "one", "two")
    registry.pull("push/app", "two", f"dir:{tmp_path}/pulled")
    assert (tmp_path / "pulled/manifest.json").read_bytes() == image.manifest
    for digest, data in image.blobs.items():
        assert (tmp_path / "pulled" / digest.removeprefix("sha256:")).read_bytes() == data


def test_how_each_blob_came_there(registry: Part, connect: Connect) -> None:
    client, image = connect(registry.host), Image(noise(10_000, 2), noise(20_000, 3))
    for expected, repository, mount_from in (
        (Outcome.UPLOADED, "push/first", []),
        (Outcome.PRESENT, "push/first", []),
        (Outcome.MOUNTED, "push/second", ["push/second", "push/nowhere", "push/first"]),
    ):
        outcomes = push_image(
            client, repository, ["latest"], image.outgoing, image.open, mount_from=mount_from
        )
        assert outcomes == dict.fromkeys(image.blobs, expected)
        assert client.manifest(repository, "latest")[1] == image.manifest


def test_an_index(registry: Part, connect: Connect) -> None:
    require_command("skopeo")
    client, images = connect(registry.host), (Image(b"a" * 1000), Image(b"b" * 1000))
    root = index_of(*images)
    blobs = {digest: data for image in images for digest, data in image.blobs.items()}
    outgoing = Outgoing(
        root=root,
        children=[(image.descriptor, image.manifest) for image in images],
        blobs=[descriptor for image in images for descriptor in image.outgoing.blobs],
    )
    push_image(
        client,
        "push/index",
        ["both"],
        outgoing,
        lambda descriptor, offset: Memory(blobs[descriptor.digest], offset),
    )
    assert client.manifest("push/index", "both") == root
    assert (
        skopeo.run("inspect", "--raw", "--tls-verify=false", registry.reference("push/index", "both"))
        == root[1]
    )


def test_without_a_tag_it_is_there_by_its_digest(registry: Part, connect: Connect) -> None:
    client, image = connect(registry.host), Image(b"by digest")
    push_image(client, "push/digest", [], image.outgoing, image.open)
    assert client.manifest("push/digest", image.descriptor.digest)[1] == image.manifest


def test_the_name_comes_last(registry: Part, faulty_proxy: Proxy, connect: Connect) -> None:
    front, image = faulty_proxy(registry), Image(noise(10_000, 4))
    image.push(connect(front.host), "push/last")
    assert [seen.method for seen in front.seen if "/manifests/" in seen.target] == ["PUT"]
    assert "/manifests/" in front.seen[-1].target


def test_progress_is_told_for_each_blob(registry: Part, connect: Connect) -> None:
    image = Image(DATA, noise(500_000, 5))
    told: dict[str, list[BlobProgress]] = {}

    def progress(blob: BlobProgress) -> None:
        told.setdefault(blob.digest, []).append(blob)

    client = connect(registry.host)
    for repository, outcome in (
        ("push/progress", Outcome.UPLOADED),
        ("push/progress", Outcome.PRESENT),
        ("push/progress2", Outcome.MOUNTED),
    ):
        told.clear()
        push_image(
            client,
            repository,
            ["latest"],
            image.outgoing,
            image.open,
            mount_from=["push/progress"],
            progress=progress,
            chunk_bytes=CHUNK,
        )
        assert {digest: steps[-1].done_bytes for digest, steps in told.items()} == {
            digest: len(data) for digest, data in image.blobs.items()
        }
        for steps in told.values():
            done = [step.done_bytes for step in steps]
            assert done == sorted(done)
            assert [step.outcome for step in steps] == [None] * (len(steps) - 1) + [outcome]
            assert len(steps) == 1 or outcome is Outcome.UPLOADED


@pytest.mark.parametrize("tag", ["", "a b", "a\r\nb", "../x", "sha256:x"])
def test_a_tag_that_is_none_is_refused_before_anything_is_sent(
    faulty_proxy: Proxy, connect: Connect, tag: str
) -> None:
    front, image = faulty_proxy(), Image(b"x")
    with pytest.raises(InvalidInput):
        push_image(connect(front.host), "push/x", ["good", tag], image.outgoing, image.open)
    with pytest.raises(InvalidInput):
        push_image(connect(front.host), "push/X", ["good"], image.outgoing, image.open)
    with pytest.raises(InvalidInput):
        push_image(connect(front.host), "push/x", ["good"], image.outgoing, image.open, jobs=0)
    assert requests(front) == []


def test_the_first_error_ends_it(registry: Part, faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy(registry)
    layers = [noise(1000, seed) for seed in range(10, 30)]
    image = Image(*layers)
    front.add(Answer(400), method="PUT", target="/blobs/", times=None)
    with pytest.raises(Rejected):
        image.push(connect(front.host), "push/error")
    assert len([seen for seen in front.seen if seen.method == "PUT"]) <= 8
    assert not [seen for seen in front.seen if "/manifests/" in seen.target]


def test_an_error_ends_what_is_on_its_way_elsewhere(
    registry: Part, faulty_proxy: Proxy, connect: Connect
) -> None:
    front = faulty_proxy(registry)
    slow, bad = b"s" * 1000, b"b" * 1000
    opened = threading.Event()

    class Slow(Memory):
        def read(self, size: int) -> bytes:
            opened.set()
            time.sleep(0.05)
            return super().read(1)

    def open_blob(descriptor: Descriptor, offset: int) -> Memory:
        if descriptor.digest == describe(slow).digest:
            return Slow(slow, offset)
        opened.wait(10)
        raise CorruptData("a layer of the store")

    image = Image(slow, bad)
    begun = time.monotonic()
    with pytest.raises(CorruptData, match="a layer of the store"):
        push_image(connect(front.host), "push/ends", ["latest"], image.outgoing, open_blob)
    assert time.monotonic() - begun < 20  # and not the fifty seconds that the slow one would take


def test_an_error_ends_what_a_silent_registry_is_waited_for(
    registry: Part, faulty_proxy: Proxy, connect: Connect
) -> None:
    front, hold = faulty_proxy(registry), Hold()
    silent, bad = b"s" * 1000, b"b" * 1000
    front.add(hold, method="PUT", target="/blobs/", times=None)

    def open_blob(descriptor: Descriptor, offset: int) -> Memory:
        if descriptor.digest == describe(silent).digest:
            return Memory(silent, offset)
        hold.await_arrival()
        raise CorruptData("a layer of the store")

    image = Image(silent, bad)
    outgoing = Outgoing(root=(image.descriptor, image.manifest), blobs=image.layers)
    begun = time.monotonic()
    with pytest.raises(CorruptData, match="a layer of the store"):
        push_image(connect(front.host, limits=Limits()), "push/silent", ["latest"], outgoing, open_blob)
    assert time.monotonic() - begun < 30  # and not the ten minutes that an answer may take
    hold.release()


# --- one blob -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK, 2 * CHUNK + 1, 3 * CHUNK])
def test_sizes(registry: Part, faulty_proxy: Proxy, connect: Connect, size: int) -> None:
    front, data = faulty_proxy(registry), noise(size, size)
    assert upload(connect(front.host), f"push/size{size}", data) is Outcome.UPLOADED
    assert is_there(registry, connect, f"push/size{size}", data)
    patches = requests(front).count("PATCH")
    assert patches == (-(-size // CHUNK) if size > 2 * CHUNK else 0)


class _LostAnswer(Fault):
    """Lets the registry take a chunk, and hangs up then."""

    def __init__(self, *, reset: bool) -> None:
        self.reset = reset
        self.headers: dict[str, str] = {}

    def change(self, reply, exchange):  # type: ignore[no-untyped-def]
        self.headers = reply.headers
        raise Hangup(reset=self.reset)


class _Tells(Fault):
    """Says where an upload is, as distribution does from version 3 on."""

    def __init__(self, lost: _LostAnswer) -> None:
        self.lost = lost

    def before(self, exchange):  # type: ignore[no-untyped-def]
        headers = {name: self.lost.headers[name] for name in ("Location", "Range")}
        return Answer(204, headers).before(exchange)


@pytest.mark.parametrize("reset", [False, True])
def test_after_a_lost_answer_the_registry_is_asked_what_it_has(
    registry: Part, faulty_proxy: Proxy, connect: Connect, reset: bool
) -> None:
    front, lost, name = faulty_proxy(registry), _LostAnswer(reset=reset), f"push/asked{int(reset)}"
    front.add(lost, method="PATCH", times=1)
    front.add(_Tells(lost), method="GET", target="/uploads/", times=1)
    assert upload(connect(front.host), name) is Outcome.UPLOADED
    assert is_there(registry, connect, name)
    assert requests(front) == ["HEAD", "POST", "PATCH", "GET", "PATCH", "PATCH", "PATCH", "PUT"]


@pytest.mark.parametrize("reset", [False, True])
def test_a_registry_that_cannot_tell_gets_all_again(
    registry: Part, faulty_proxy: Proxy, connect: Connect, reset: bool
) -> None:
    """Debian's, of version 2.8, refuses the question."""
    front, name = faulty_proxy(registry), f"push/lost{int(reset)}"
    front.add(_LostAnswer(reset=reset), method="PATCH", times=1)
    assert upload(connect(front.host), name) is Outcome.UPLOADED
    assert is_there(registry, connect, name)
    assert requests(front).count("POST") == 2


@pytest.mark.parametrize("fault", [Drop(None), Drop(None, reset=True), unavailable(), too_many("0")])
def test_a_chunk_that_did_not_arrive_is_sent_again(
    registry: Part, faulty_proxy: Proxy, connect: Connect, fault: Fault
) -> None:
    front, name = faulty_proxy(registry), f"push/again{type(fault).__name__.lower()}{id(fault)}"
    front.add(fault, method="PATCH", times=1)
    assert upload(connect(front.host), name) is Outcome.UPLOADED
    assert is_there(registry, connect, name)
    assert requests(front).count("POST") == 1


def test_a_registry_that_is_elsewhere_in_the_upload_is_asked(
    registry: Part, faulty_proxy: Proxy, connect: Connect
) -> None:
    front = faulty_proxy(registry)
    front.add(Answer(416), method="PATCH", times=1)
    assert upload(connect(front.host), "push/416") is Outcome.UPLOADED
    assert is_there(registry, connect, "push/416")
    assert requests(front).count("POST") == 1


def test_an_upload_that_was_forgotten_begins_again(
    registry: Part, faulty_proxy: Proxy, connect: Connect
) -> None:
    front = faulty_proxy(registry)
    front.add(Headers({}), method="PATCH", times=1)  # the first is taken
    front.add(Answer(404), method="PATCH", times=1)
    assert upload(connect(front.host), "push/forgotten") is Outcome.UPLOADED
    assert is_there(registry, connect, "push/forgotten")
    assert requests(front).count("POST") == 2


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_registry_without_chunks_gets_all_at_once(
    registry: Part, faulty_proxy: Proxy, connect: Connect, status: int
) -> None:
    front = faulty_proxy(registry)
    front.add(Answer(status), method="PATCH", times=None)
    assert upload(connect(front.host), f"push/whole{status}") is Outcome.UPLOADED
    assert is_there(registry, connect, f"push/whole{status}")
    assert requests(front).count("PATCH") == 1


@pytest.mark.parametrize("range_header", [None, "nonsense", "bytes=0-", "1-299999"])
def test_a_registry_that_does_not_say_how_much_it_has(
    registry: Part, faulty_proxy: Proxy, connect: Connect, range_header: str | None
) -> None:
    front = faulty_proxy(registry)
    front.add(Headers({"Range": range_header}), method="PATCH", times=None)
    name = f"push/range{abs(hash(range_header))}"
    assert upload(connect(front.host), name) is Outcome.UPLOADED
    assert is_there(registry, connect, name)


def test_a_registry_that_has_more_than_was_sent(
    registry: Part, faulty_proxy: Proxy, connect: Connect
) -> None:
    front = faulty_proxy(registry)
    front.add(Headers({"Range": "0-900000"}), method="PATCH", times=None)
    with pytest.raises(CorruptData, match="900001 bytes of 300000"):
        upload(connect(front.host), "push/more")


def test_a_registry_that_takes_nothing_is_given_up(
    registry: Part, faulty_proxy: Proxy, connect: Connect
) -> None:
    front = faulty_proxy(registry)
    front.add(Answer(202, {"Location": "{self}{target}", "Range": "0-0"}), method="PATCH", times=None)
    with pytest.raises(Unavailable, match="takes nothing more"):
        upload(connect(front.host), "push/nothing")
    assert requests(front).count("PATCH") <= 9


@pytest.mark.parametrize("status", [404, 416])
def test_a_registry_that_leads_back_and_forth_is_given_up(
    faulty_proxy: Proxy, connect: Connect, status: int
) -> None:
    front = faulty_proxy()
    front.add(Answer(404), method="HEAD", times=None)
    front.add(Answer(202, {"Location": "{self}/up"}), method="POST", times=None)
    front.add(Answer(204, {"Location": "{self}/up", "Range": "0-0"}), method="GET", target="/up", times=None)
    front.add(_EverySecond(status), method="PATCH", times=None)
    with pytest.raises((Unavailable, NotFound)):
        upload(connect(front.host), "push/back")
    assert requests(front).count("PATCH") < 40


class _EverySecond(Fault):
    """Takes a chunk, and then wants to know nothing of it."""

    def __init__(self, status: int) -> None:
        self.number = 0
        self.status = status

    def before(self, exchange):  # type: ignore[no-untyped-def]
        self.number += 1
        if self.number % 2 == 0:
            return Answer(self.status).before(exchange)
        return Answer(202, {"Location": "{self}/up", "Range": "0-299999"}).before(exchange)


def test_all_at_once_is_tried_again(registry: Part, faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy(registry)
    front.add(Drop(None), method="PUT", times=1)
    front.add(unavailable(), method="PUT", times=1)
    assert upload(connect(front.host), "push/once", b"small") is Outcome.UPLOADED
    assert is_there(registry, connect, "push/once", b"small")
    assert requests(front).count("POST") == 3


def test_a_registry_that_stays_away_is_given_up(
    registry: Part, faulty_proxy: Proxy, connect: Connect
) -> None:
    front = faulty_proxy(registry)
    front.add(unavailable(), method="PUT", times=None)
    with pytest.raises(Unavailable, match="status 503"):
        upload(connect(front.host), "push/away", b"small")
    assert requests(front).count("PUT") == 3


def test_bytes_that_are_not_the_digests_are_refused(registry: Part, connect: Connect) -> None:
    with pytest.raises(Rejected, match="DIGEST_INVALID"):
        Upload(
            connect(registry.host), "push/wrong", describe(b"good"), lambda offset: Memory(b"evil", offset)
        ).run()


def test_a_blob_of_ours_that_is_too_short(registry: Part, connect: Connect) -> None:
    with pytest.raises(CorruptData, match="only 3 of 4 bytes"):
        Upload(
            connect(registry.host), "push/short", describe(b"good"), lambda offset: Memory(b"goo", offset)
        ).run()


def test_a_blob_of_ours_that_cannot_begin_in_the_middle(registry: Part, connect: Connect) -> None:
    with pytest.raises(CorruptData, match="begin at 0, not at 300000"):
        Upload(
            connect(registry.host), "push/middle", describe(DATA), lambda _: Memory(DATA), chunk_bytes=CHUNK
        ).run()


def test_a_disk_error_of_ours_is_not_called_the_networks(registry: Part, connect: Connect) -> None:
    class Broken(Memory):
        def read(self, size: int) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(CarobError, match="Input/output error"):
        Upload(connect(registry.host), "push/disk", describe(b"good"), lambda _: Broken(b"")).run()


def test_readers_are_closed(registry: Part, faulty_proxy: Proxy, connect: Connect) -> None:
    front, opened = faulty_proxy(registry), []
    front.add(Drop(None), method="PATCH", times=1)

    def open_blob(offset: int) -> Memory:
        opened.append(Memory(DATA, offset))
        return opened[-1]

    Upload(connect(front.host), "push/closed", describe(DATA), open_blob, chunk_bytes=CHUNK).run()
    assert len(opened) >= 4
    assert all(reader.is_closed for reader in opened)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://ann:hunter2@127.0.0.1/", "", "ftp://x/"])
def test_an_upload_sent_nowhere(faulty_proxy: Proxy, connect: Connect, location: str) -> None:
    front = faulty_proxy()
    front.add(Answer(404), method="HEAD")
    front.add(Answer(202, {"Location": location}), method="POST")
    with pytest.raises(CorruptData, match="no web address") as caught:
        upload(connect(front.host), "x", b"small")
    assert "hunter2" not in str(caught.value)


def test_a_least_size_of_chunks_is_kept_to(registry: Part, faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy(registry)
    front.add(Headers({"OCI-Chunk-Min-Length": "450000"}), method="POST")
    upload(connect(front.host), "push/least")
    assert is_there(registry, connect, "push/least")
    lengths = [int(seen.headers["Content-Length"]) for seen in front.seen if seen.method == "PATCH"]
    assert lengths == [450_000, 450_000, 100_000]


def test_a_mount_that_is_not_given_becomes_an_upload(
    registry: Part, faulty_proxy: Proxy, connect: Connect
) -> None:
    front = faulty_proxy(registry)
    assert (
        upload(connect(front.host), "push/nomount", b"small", mount_from=("push/none",)) is Outcome.UPLOADED
    )
    assert requests(front).count("POST") == 1  # what the mount began is used
    front.add(Answer(403), method="POST", target="mount=", times=1)
    assert (
        upload(connect(front.host), "push/nomount2", b"small", mount_from=("push/none",)) is Outcome.UPLOADED
    )


def test_a_manifest_that_the_registry_changes(registry: Part, faulty_proxy: Proxy, connect: Connect) -> None:
    front, image = faulty_proxy(registry), Image(b"changed")
    front.add(Headers({"Docker-Content-Digest": "sha256:" + "0" * 64}), method="PUT", target="/manifests/")
    with pytest.raises(CorruptData, match="stored it as"):
        image.push(connect(front.host), "push/changed")


def test_an_upload_that_stalls(registry: Part, faulty_proxy: Proxy, connect: Connect) -> None:
    from dataclasses import replace

    front = faulty_proxy(registry)
    front.add(Stall(None), method="PUT", times=None)
    limits = replace(Limits(first_wait_s=0.01), commit_s=0.3, attempts=2)
    begun = time.monotonic()
    with pytest.raises(CarobError, match="does not answer"):
        upload(connect(front.host, limits=limits), "push/stall", b"small")
    assert time.monotonic() - begun < 10


def test_closing_ends_an_upload(registry: Part, faulty_proxy: Proxy, connect: Connect) -> None:
    front, hold = faulty_proxy(registry), Hold()
    front.add(hold, method="PUT", times=None)
    client = connect(front.host)
    faults: list[BaseException] = []

    def work() -> None:
        try:
            upload(client, "push/close", b"small")
        except CarobError as error:
            faults.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    hold.await_arrival()
    client.close()
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(faults[0], Unavailable)
    hold.release()


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("0-299999", 300_000),
        ("bytes=0-9", 10),
        ("0-0", 0),
        ("", None),
        ("0--1", None),
        ("1-9", None),
        ("0-x", None),
        ("0-\u0665", None),
        ("0-" + "9" * 40, None),
    ],
)
def test_how_much_is_there(text: str, end: int | None) -> None:
    class Said:
        def header(self, name: str) -> str:
            assert name == "Range"
            return text

    assert _range_end(Said()) == end  # type: ignore[arg-type]

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from carob.errors import Cancelled, CorruptData, InvalidInput, NotFound, Unavailable
from carob.image import Store, Trees
from carob.image.cancel import Cancellation
from carob.image.fetch.pull import FetchOptions, PullPolicy, pull
from carob.image.sources.open import Remotes
from carob.image.store.platforms import parse_platform
from carob.spec.address import parse_address
from carob.spec.oci.descriptor import INDEX, Descriptor
from carob.spec.oci.document import encode_document
from carob.spec.reference import Reference, parse_reference
from tests.unit.image.archives import layout_of, member, symlink, tar
from tests.unit.image.memory_source import MemorySource

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
NAME = "example.org/app:1"


class Registry:
    """One image of one registry, and what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.source = MemorySource(reference=NAME)
        self.source.put_image(tar(member("first")), architecture=ARCHITECTURE)

    def open(self, reference: Reference) -> MemorySource:
        self.asked.append(str(reference))
        self.source.reference = str(reference)
        self.source.is_closed = False
        return self.source

    def change(self) -> None:
        self.source.put_image(tar(member("second")), architecture=ARCHITECTURE)


@pytest.fixture
def registry() -> Registry:
    return Registry()


def get(store: Store, registry: Registry, text: str, policy: PullPolicy, **options: object) -> str:
    aliases = {"app": "example.org/app"}

    def alias(reference: Reference) -> Reference | None:
        target = aliases.get(reference.repository)
        return Reference(target, reference.tag, reference.digest) if target else None

    image = pull(
        store,
        None,
        parse_address(text),
        policy=policy,
        aliases=alias,
        options=FetchOptions(remotes=Remotes(registry=registry.open), **options),  # type: ignore[arg-type]
    )
    assert registry.source.is_closed or not registry.asked
    return image.image_id


@pytest.mark.parametrize("text", [NAME, f"docker://{NAME}", "app:1", "docker://app:1"])
def test_policies(store: Store, registry: Registry, text: str) -> None:
    with pytest.raises(NotFound):
        get(store, registry, text, PullPolicy.NEVER)
    first = get(store, registry, text, PullPolicy.MISSING)
    assert registry.asked == [NAME]
    registry.change()
    assert get(store, registry, text, PullPolicy.MISSING) == first
    assert get(store, registry, text, PullPolicy.NEVER) == first
    assert registry.asked == [NAME]
    second = get(store, registry, text, PullPolicy.NEW)
    assert second != first
    opened = sum(registry.source.opened.values())
    assert get(store, registry, text, PullPolicy.NEW) == second
    assert get(store, registry, text, PullPolicy.ALWAYS) == second
    assert sum(registry.source.opened.values()) == opened
    assert [summary.names for summary in store.list()] == [(NAME,)]


def test_the_local_store_comes_first(store: Store, registry: Registry, tmp_path: Path) -> None:
    own = store.import_path(str(layout_of(tmp_path / "layout", tar(member("own")))), name="app:1").image_id
    assert get(store, registry, "app:1", PullPolicy.MISSING) == own
    assert get(store, registry, own, PullPolicy.ALWAYS) == own
    assert get(store, registry, own[7:15], PullPolicy.NEW) == own
    assert registry.asked == []
    assert get(store, registry, "app:1", PullPolicy.ALWAYS) != own
    assert store.resolve("app:1").image_id == own


@pytest.mark.parametrize("policy", list(PullPolicy))
def test_no_registry_is_guessed(store: Store, registry: Registry, policy: PullPolicy) -> None:
    with pytest.raises(NotFound, match="busybox"):
        get(store, registry, "busybox", policy)
    with pytest.raises(InvalidInput, match="which registry"):
        get(store, registry, "docker://busybox", policy)
    assert registry.asked == []


def test_a_digest_cannot_have_moved(store: Store, registry: Registry) -> None:
    digest = registry.source.root()[0].digest
    pinned = f"docker://example.org/app:ignored@{digest}"
    assert get(store, registry, pinned, PullPolicy.NEW) == digest
    assert [summary.names for summary in store.list()] == [(f"example.org/app@{digest}",)]
    assert get(store, registry, pinned, PullPolicy.NEW) == digest
    assert len(registry.asked) == 1
    registry.change()
    other = "docker://example.org/app@sha256:" + "0" * 64
    with pytest.raises(CorruptData, match="has the digest"):
        get(store, registry, other, PullPolicy.NEW)


def test_a_broken_or_incomplete_image_is_fetched_again(store: Store, registry: Registry) -> None:
    image_id = get(store, registry, NAME, PullPolicy.MISSING)
    layer = Path(store.layout.blob_path(store.resolve(NAME).layers[0].digest))
    layer.unlink()
    assert get(store, registry, NAME, PullPolicy.MISSING) == image_id
    assert layer.exists()
    for path in (store.layout.blob_path(image_id), store.layout.blob_path(store.resolve(NAME).config_digest)):
        Path(path).write_bytes(bytes(os.path.getsize(path)))
        assert get(store, registry, NAME, PullPolicy.MISSING) == image_id
        assert store.resolve(NAME).image_id == image_id


def two_platforms(source: MemorySource) -> Descriptor:
    manifests = []
    for architecture in ("amd64", "arm64"):
        manifest = source.put_image(tar(member(architecture)), architecture=architecture)
        platform = {"os": "linux", "architecture": architecture}
        manifests.append({**manifest.document(), "platform": platform})
    data = encode_document({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    source.top = source.put(data, INDEX), data
    return source.top[0]


def test_another_platform_is_another_image(store: Store, registry: Registry) -> None:
    index = two_platforms(registry.source)
    ours = get(store, registry, NAME, PullPolicy.MISSING)
    other = parse_platform("arm64" if ARCHITECTURE == "amd64" else "amd64")
    theirs = get(store, registry, NAME, PullPolicy.MISSING, platform=other)
    assert theirs != ours
    assert store.resolve(NAME).architecture == other.architecture
    assert get(store, registry, NAME, PullPolicy.NEW, platform=other) == theirs
    assert store.resolve(f"example.org/app@{index.digest}").image_id == theirs
    store.tag(NAME, "example.org/app:theirs")
    again = get(store, registry, NAME, PullPolicy.ALWAYS)
    assert again == ours
    # Of two images of one index, the digest of that index means this host's.
    assert store.resolve(f"example.org/app@{index.digest}").image_id == ours
    assert parse_reference(NAME).domain == "example.org"


@pytest.mark.parametrize("policy", [PullPolicy.NEW, PullPolicy.MISSING])
def test_another_platforms_image_does_not_stick(store: Store, registry: Registry, policy: PullPolicy) -> None:
    two_platforms(registry.source)
    other = parse_platform("arm64" if ARCHITECTURE == "amd64" else "amd64")
    theirs = get(store, registry, NAME, PullPolicy.NEW, platform=other)
    assert get(store, registry, NAME, PullPolicy.NEVER) == theirs
    ours = get(store, registry, NAME, policy)
    assert ours != theirs
    asked = len(registry.asked)
    assert get(store, registry, NAME, PullPolicy.MISSING) == ours
    assert len(registry.asked) == asked


def test_of_another_platform_alone_it_is_not_asked_for_again(store: Store, registry: Registry) -> None:
    registry.source.put_image(tar(member("first")), architecture="s390x")
    first = get(store, registry, NAME, PullPolicy.MISSING)
    assert get(store, registry, NAME, PullPolicy.MISSING) == first
    assert registry.asked == [NAME]


def test_an_image_for_another_platform_only(store: Store, registry: Registry) -> None:
    """Refused where a platform was asked for; else taken, with a word if it is not for this host."""
    warnings: list[str] = []
    ours, other = parse_platform(ARCHITECTURE), parse_platform("s390x")
    with pytest.raises(NotFound, match=r"is an image for linux/.*, not for linux/s390x"):
        get(store, registry, NAME, PullPolicy.NEW, platform=other)
    assert store.list() == []
    assert registry.source.opened.total() == 0
    get(store, registry, NAME, PullPolicy.NEW, platform=ours, warn=warnings.append)
    assert warnings == []
    registry.source.put_image(tar(member("first")), architecture="s390x")
    get(store, registry, NAME, PullPolicy.NEW, warn=warnings.append)
    assert [warning.count("linux/s390x") for warning in warnings] == [1]
    assert get(store, registry, NAME, PullPolicy.NEW, platform=other)
    registry.source.put_image(tar(member("first")), architecture="arm")
    old = parse_platform("linux/arm/v6")
    assert get(store, registry, NAME, PullPolicy.NEW, platform=old), "it says no variant"


def test_what_an_index_says_of_its_images_counts(store: Store, registry: Registry) -> None:
    """Configurations of images for arm v6 often say v7, or nothing."""
    image = registry.source.put_image(tar(member("first")), architecture="amd64")
    entry = {**image.document(), "platform": {"os": "linux", "architecture": "s390x"}}
    data = encode_document({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})
    registry.source.top = registry.source.put(data, INDEX), data
    assert get(store, registry, NAME, PullPolicy.NEW, platform=parse_platform("s390x")) == image.digest


def test_a_root_file_system_is_for_the_platform_asked_for(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "root.tar").write_bytes(tar(member("first")))
    address = parse_address(f"tar:{tmp_path}/root.tar")
    options = FetchOptions(platform=parse_platform("linux/arm/v6"))
    image = pull(store, None, address, name="app", options=options)
    assert (image.architecture, image.config["variant"]) == ("arm", "v6")
    with pytest.raises(InvalidInput, match="windows"):
        pull(store, None, address, name="x", options=FetchOptions(platform=parse_platform("windows/amd64")))


def test_policies_of_a_local_source(store: Store, registry: Registry, tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "layout", tar(member("a")), name="local:1")
    first = get(store, registry, f"oci:{layout}", PullPolicy.MISSING)
    layout_of(layout, tar(member("b")), name="local:1")
    assert get(store, registry, f"oci:{layout}", PullPolicy.MISSING) == first
    assert get(store, registry, f"oci:{layout}", PullPolicy.NEW) != first
    with pytest.raises(NotFound, match="there is no image"):
        get(store, registry, f"oci:{layout}", PullPolicy.NEVER)


def test_called_off_while_the_first_document_is_waited_for(store: Store, registry: Registry) -> None:
    cancel = Cancellation()
    asked = threading.Event()

    class Stalling(MemorySource):
        def root(self) -> tuple[Descriptor, bytes]:
            asked.set()
            while not self.is_closed:
                time.sleep(0.001)
            raise Unavailable("the connection was closed")

    registry.source = Stalling()
    caller = threading.Thread(target=lambda: asked.wait(20) and cancel.cancel())
    caller.start()
    for policy in (PullPolicy.ALWAYS, PullPolicy.NEW):
        with pytest.raises(Cancelled):
            get(store, registry, NAME, policy, cancel=cancel)
    caller.join()


def test_called_off_while_an_archive_comes_through_a_pipe(store: Store, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    cancel = Cancellation()

    def write() -> None:
        with open(pipe, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    cancel.cancel()
            except BrokenPipeError:
                pass

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(Cancelled):
        pull(store, None, parse_address(f"oci-archive:{pipe}"), options=FetchOptions(cancel=cancel))
    writer.join(20)
    assert not writer.is_alive()
    assert os.listdir(f"{store.layout.path}/.tmp") == []


def test_a_layer_that_was_put_aside_is_unpacked_by_the_next_fetch(
    store: Store, trees: Trees, registry: Registry
) -> None:
    options = FetchOptions(remotes=Remotes(registry=registry.open))
    for policy in PullPolicy:
        image = pull(store, trees, parse_address(NAME), policy=PullPolicy.MISSING, options=options)
        layer = Path(trees.layer_path(image.chain_ids[0]))
        (layer / "new").touch()
        assert store.verify().broken
        pull(store, trees, parse_address(NAME), policy=policy, options=options)
        assert os.listdir(layer) == ["first"], policy


def test_a_root_file_system_that_cannot_be_unpacked_gets_no_name(
    store: Store, trees: Trees, tmp_path: Path
) -> None:
    path = tmp_path / "root.tar"
    path.write_bytes(tar(symlink("a", "/etc"), member("a/b")))
    with pytest.raises(CorruptData, match="'a' is a file, or a link to nowhere"):
        pull(store, trees, parse_address(f"tar:{path}"), name="app")
    assert store.list() == []
    path.write_bytes(tar(member("a")))
    image = pull(store, trees, parse_address(f"tar:{path}"), name="app")
    assert os.listdir(trees.layer_path(image.chain_ids[0])) == ["a"]


@pytest.mark.parametrize("transport", ["tar", "oci-archive", "docker-archive"])
@pytest.mark.parametrize("is_open", [True, False], ids=["silent", "nobody"])
def test_called_off_while_a_pipe_is_silent(
    store: Store, tmp_path: Path, transport: str, is_open: bool
) -> None:
    """Somebody has it open, and writes nothing; or nobody has."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    cancel = Cancellation()
    if is_open:
        writer = os.open(pipe, os.O_RDWR)
        os.write(writer, tar(member("a"))[:300])
    caller = threading.Timer(0.2, cancel.cancel)
    caller.start()
    with pytest.raises(Cancelled):
        pull(store, None, parse_address(f"{transport}:{pipe}"), name="x", options=FetchOptions(cancel=cancel))
    caller.join()
    if is_open:
        os.close(writer)
    assert store.list() == []
    assert os.listdir(f"{store.layout.path}/.tmp") == []


def test_called_off_while_a_directory_is_packed(store: Store, tmp_path: Path) -> None:
    cancel = Cancellation()
    cancel.cancel()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/file").write_bytes(b"x")
    with pytest.raises(Cancelled):
        pull(
            store,
            None,
            parse_address(f"dir:{tmp_path}/root"),
            name="x",
            options=FetchOptions(cancel=cancel),
        )
    assert store.list() == []

"""What ``Engine.images`` takes in: what the policy says, how much, and what the caller is told."""

from __future__ import annotations

import base64
import json
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carob import Engine
from carob.engine import settings
from carob.engine.images.collection import cancellation
from carob.engine.prepare.images import ImageFinder
from carob.errors import Cancelled, CorruptData, InvalidInput, NotFound, OutOfResources, Rejected, Unavailable
from carob.image.aci.limits import AciLimits, aci_limits
from carob.image.limits import ImageLimits
from carob.image.registry.limits import DEFAULT_LIMITS, registry_limits
from carob.image.tar.limits import LIMITS, unpack_limits
from tests.unit.image.aci.made import aci, app, manifest
from tests.unit.image.archives import layout_of, member, tar
from tests.unit.image.trust.test_decide import P256, CosignKey

ANYTHING = [{"type": "insecureAcceptAnything"}]
REJECT = [{"type": "reject"}]
PLAIN = tar(member("file", b"content"))

Allow = Callable[..., None]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / ".config/carob").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def engine(home: Path) -> Engine:
    return Engine(home / "data")


@pytest.fixture
def allow(home: Path) -> Allow:
    """Writes a policy: the default, and for each transport the default of its scopes."""

    def write(default: object, **transports: object) -> None:
        scopes = {name.replace("_", "-"): {"": what} for name, what in transports.items()}
        document = {"default": default, "transports": scopes}
        (home / ".config/carob/policy.json").write_text(json.dumps(document))

    return write


@pytest.fixture
def places(home: Path) -> dict[str, Path]:
    """A path for each transport of files."""
    layout = layout_of(home / "layout", PLAIN)
    (home / "rootfs").mkdir()
    (home / "rootfs/file").write_bytes(b"content")
    (home / "rootfs.tar").write_bytes(PLAIN)
    with tarfile.open(home / "oci.tar", "w") as archive:
        archive.add(layout, ".")
    return {
        "oci": layout,
        "oci-archive": home / "oci.tar",
        "dir": home / "rootfs",
        "tarball": home / "rootfs.tar",
    }


@pytest.fixture
def signed(tmp_path: Path) -> list[dict[str, str]]:
    """What is required of an image that a key has to have signed."""
    key = CosignKey(tmp_path / "key", *P256)
    return [{"type": "sigstoreSigned", "keyData": base64.b64encode(key.public).decode()}]


# --- the policy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "dir", "tarball"])
def test_import_and_fetch_ask_the_policy(
    engine: Engine,
    allow: Allow,
    places: dict[str, Path],
    signed: list[dict[str, str]],
    transport: str,
) -> None:
    path = places[transport]
    address = f"{transport.removesuffix('ball')}:{path}"
    for refused in ({"default": REJECT}, {"default": ANYTHING, transport.replace("-", "_"): signed}):
        allow(**refused)
        with pytest.raises(Rejected, match=r"policy\.json"):
            engine.images.import_path(path, name="x")
        with pytest.raises(Rejected, match=r"policy\.json"):
            engine.images.fetch(address, name="x", unpack=False)
    assert engine.images.list() == []
    allow(REJECT, **{transport.replace("-", "_"): ANYTHING})
    first = engine.images.import_path(path, name="x")
    assert engine.images.fetch(address, name="y", unpack=False).layers == first.layers


def test_a_scope_of_directories(engine: Engine, home: Path, places: dict[str, Path]) -> None:
    policy = {"default": REJECT, "transports": {"dir": {str(home / "good"): ANYTHING}}}
    (home / ".config/carob/policy.json").write_text(json.dumps(policy))
    with pytest.raises(Rejected):
        engine.images.import_path(places["dir"], name="x")
    (home / "good").mkdir()
    os.rename(places["dir"], home / "good/rootfs")
    (home / "link").symlink_to("good")
    assert engine.images.import_path(home / "link/rootfs", name="x")


def test_an_insecure_call_asks_no_signature_but_takes_nothing_that_is_rejected(
    engine: Engine, allow: Allow, places: dict[str, Path], signed: list[dict[str, str]]
) -> None:
    allow(signed, dir=REJECT)
    with pytest.raises(Rejected, match="not signed"):
        engine.images.load(places["oci"])
    assert engine.images.load(places["oci"], insecure="image")
    assert engine.images.fetch(f"tar:{places['tarball']}", name="x", insecure="image", unpack=False)
    for insecure in ("none", "image", "all"):
        with pytest.raises(Rejected, match="rejects every image"):
            engine.images.import_path(places["dir"], name="y", insecure=insecure)


def test_a_policy_that_is_not_understood_lets_nothing_in(
    engine: Engine, home: Path, places: dict[str, Path]
) -> None:
    (home / ".config/carob/policy.json").write_text('{"default": [{"type": "surprise"}]}')
    for path in places.values():
        with pytest.raises(InvalidInput, match="surprise"):
            engine.images.import_path(path, name="x", insecure="image")


def test_what_is_in_the_store_is_no_matter_of_the_policy(
    engine: Engine, allow: Allow, places: dict[str, Path]
) -> None:
    image = engine.images.import_path(places["oci"], name="example.org/x:1")
    allow(REJECT)
    for pull in ("missing", "never"):
        assert engine.images.fetch("docker://example.org/x:1", pull=pull, unpack=False) == image  # type: ignore[arg-type]


# --- aliases --------------------------------------------------------------------------------------


def test_an_alias_of_a_stored_image_is_found_without_asking_anybody(
    engine: Engine, home: Path, places: dict[str, Path]
) -> None:
    image = engine.images.import_path(places["oci"], name="registry.invalid/team/app:1")
    (home / ".config/carob/registries.toml").write_text('[aliases]\nmine = "registry.invalid/team/app"\n')
    for pull in ("never", "missing"):
        find = ImageFinder(engine.images, pull)  # type: ignore[arg-type]
        assert find("mine:1") == find("docker://mine:1") == image
    find = ImageFinder(engine.images, "never")
    for name in ("mine:2", "other:1", "registry.invalid/team/app:2", "sha256:" + "0" * 64):
        with pytest.raises(NotFound, match="there is no image"):
            find(name)


def test_an_image_that_lacks_something_is_looked_for_elsewhere(
    engine: Engine, places: dict[str, Path]
) -> None:
    image = engine.images.import_path(places["oci"], name="registry.invalid/app:1")
    missing, never = ImageFinder(engine.images, "missing"), ImageFinder(engine.images, "never")
    layer = Path(engine.images.data_dir, "images/blobs/sha256", image.layers[0].digest[7:])
    config = layer.with_name(image.config_digest[7:])
    unpacked = Path(engine.images.data_dir, "layers", image.chain_ids[0][7:])
    layer.rename(layer.with_name("aside"))
    with pytest.raises((Unavailable, NotFound), match=r"registry\.invalid"):
        missing("registry.invalid/app:1")
    assert never("registry.invalid/app:1") == image
    unpacked.mkdir(parents=True)
    assert missing("registry.invalid/app:1") == image
    config.write_bytes(b"rotten")
    with pytest.raises((Unavailable, NotFound), match=r"registry\.invalid"):
        missing("registry.invalid/app:1")
    with pytest.raises(CorruptData):
        never("registry.invalid/app:1")


# --- how much -------------------------------------------------------------------------------------


def test_limits_have_the_same_names_and_defaults_everywhere() -> None:
    usual = ImageLimits()
    keys = {key.name: key.default for key in settings.KEYS if key.name.startswith("images.limits.")}
    assert keys == {f"images.limits.{name}": getattr(usual, name) for name in ImageLimits.__slots__}
    assert registry_limits(usual) == DEFAULT_LIMITS
    for made, own in ((unpack_limits(usual), LIMITS), (aci_limits(usual), AciLimits())):
        assert {name: getattr(made, name) for name in own.__slots__} == {
            name: getattr(own, name) for name in own.__slots__
        }


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"layer_bytes": 100}, "oci"),
        ({"image_bytes": 100}, "oci-archive"),
        ({"unpacked_bytes": 100}, "tarball"),
        ({"entries": 1}, "tarball"),
        ({"archive_bytes": 100}, "packed"),
    ],
)
def test_a_limit_is_kept_and_its_error_names_it(
    home: Path, places: dict[str, Path], limits: dict[str, float], name: str
) -> None:
    two = tar(member("one", b"1"), member("two", b"2"))
    layout_of(places["oci"], two, compress=False)
    places["tarball"].write_bytes(two)
    with tarfile.open(places["oci-archive"], "w") as archive:
        archive.add(places["oci"], ".")
    with tarfile.open(home / "packed", "w:gz") as archive:
        archive.add(places["oci"], ".")
    images = Engine(home / "data", image_limits=limits).images
    path = home / "packed" if name == "packed" else places[name]
    with pytest.raises((OutOfResources, CorruptData)) as caught:
        images.import_path(path, name="x")
    assert f"images.limits.{next(iter(limits))} " in caught.value.hint
    assert images.list() == []


def test_limits_of_unpacking(home: Path, places: dict[str, Path]) -> None:
    usual = Engine(home / "data")
    usual.images.import_path(places["oci"], name="x")
    strict = Engine(home / "data", image_limits={"unpacked_bytes": 100})
    with pytest.raises(CorruptData) as caught:
        strict.images.extract("x", home / "out")
    assert "images.limits.unpacked_bytes " in caught.value.hint


@pytest.mark.parametrize(
    "limits", [{"layers": 1}, {"ratio": 0}, {"ratio": 1.5}, {"stall_s": "1"}, {"attempts": True}, [1]]
)
def test_limits_that_are_none_are_refused(limits: object) -> None:
    with pytest.raises(InvalidInput, match="limits"):
        Engine("/x", image_limits=limits)  # type: ignore[arg-type]


# --- pipes ----------------------------------------------------------------------------------------


class Piped:
    """A fifo into which bytes are written as soon as it is read."""

    def __init__(self, path: Path, data: bytes) -> None:
        os.mkfifo(path)
        self.path = path
        self._thread = threading.Thread(target=self._write, args=(data,))
        self._thread.start()

    def _write(self, data: bytes) -> None:
        try:
            self.path.write_bytes(data)
        except BrokenPipeError:
            pass

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self._thread.join()


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_archives_come_through_a_pipe(engine: Engine, home: Path, places: dict[str, Path], kind: str) -> None:
    image = engine.images.import_path(places["oci"], name="app:1")
    engine.images.save(["app:1"], home / "saved", format=kind)  # type: ignore[arg-type]
    engine.images.remove("app:1")
    with Piped(home / "pipe", (home / "saved").read_bytes()) as path:
        loaded = engine.images.load(path)
    assert [(one.name, one.diff_ids) for one in loaded] == [("app:1", image.diff_ids)]
    with (
        Piped(home / "again", (home / "saved").read_bytes()) as path,
        pytest.raises(InvalidInput, match=kind),
    ):
        engine.images.import_path(path, name="x")
    assert os.listdir(home / "data/images/.tmp") == []


def test_a_root_file_system_comes_through_a_pipe_and_is_no_archive(engine: Engine, home: Path) -> None:
    with Piped(home / "pipe", PLAIN) as path:
        assert engine.images.import_path(path, name="root")
    with Piped(home / "again", PLAIN) as path, pytest.raises(InvalidInput, match="no archive of images"):
        engine.images.load(path)


# --- what the caller is told ----------------------------------------------------------------------


def test_what_an_aci_asks_for_in_vain_is_told(engine: Engine, home: Path) -> None:
    handlers = [{"name": "pre-start", "exec": ["/bin/y"]}]
    data = aci(manifest(app=app("/bin/x", supplementaryGIDs=[1, 2], eventHandlers=handlers)))
    (home / "x.aci").write_bytes(data)
    for take in (
        lambda warn: engine.images.fetch(f"aci:{home}/x.aci", insecure="image", unpack=False, warn=warn),
        lambda warn: engine.images.import_path(home / "x.aci", name="x", insecure="image", warn=warn),
    ):
        told: list[str] = []
        take(told.append)
        assert len(told) == 1
        assert "asks for eventHandlers, which" in told[0]
    with pytest.raises(Rejected, match="not signed"):
        engine.images.import_path(home / "x.aci", name="x")


def test_a_load_can_be_called_off(engine: Engine, home: Path) -> None:
    cancel = cancellation()
    os.mkfifo(home / "pipe")

    def write() -> None:
        with open(home / "pipe", "wb", buffering=0) as pipe:
            try:
                while True:
                    pipe.write(bytes(1 << 16))
                    cancel.cancel()
            except BrokenPipeError:
                pass

    thread = threading.Thread(target=write)
    thread.start()
    with pytest.raises(Cancelled):
        engine.images.load(home / "pipe", cancel=cancel)
    thread.join()
    assert os.listdir(home / "data/images/.tmp") == []


@pytest.mark.parametrize("wrong", [None, 5, 1.5, True, b"x", ["x", 1], {"x": 1}, "\ud800", "\0", ["\ud800"]])
def test_what_is_of_a_wrong_type_is_invalid(engine: Engine, home: Path, wrong: object) -> None:
    images: Any = engine.images
    rootfs, output = home / "root", home / "output"
    rootfs.mkdir()
    for call in (
        lambda: images.fetch(wrong),
        lambda: images.fetch(f"dir:{rootfs}", name=wrong),
        lambda: images.fetch(f"dir:{rootfs}", name="a", insecure=wrong),
        lambda: images.fetch(f"dir:{rootfs}", name="a", platform=wrong),
        lambda: images.fetch(f"dir:{rootfs}", name="a", pull=wrong),
        lambda: images.load(wrong),
        lambda: images.load(rootfs, insecure=wrong),
        lambda: images.import_path(wrong, name="a"),
        lambda: images.import_path(rootfs, name=wrong),
        lambda: images.save(["a"], output, format=wrong),
        lambda: images.export(wrong, output),
        lambda: images.extract(wrong, output),
        lambda: images.extract("a", wrong),
        lambda: images.push(wrong),
        lambda: images.tag("a", wrong),
    ):
        with pytest.raises(InvalidInput):
            call()
    assert images.list() == []


@pytest.mark.parametrize("architecture", ["amd64", "arm64", "s390x"])
def test_an_image_for_another_platform_is_used_with_a_word(
    engine: Engine, home: Path, architecture: str
) -> None:
    layout = layout_of(home / "other", tar(member("a")), name="other:1", architecture=architecture)
    engine.images.fetch(f"oci:{layout}")
    warnings: list[str] = []
    find = ImageFinder(engine.images, "missing", warn=warnings.append)
    assert find("other:1").architecture == architecture
    is_ours = architecture == {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    assert [warning.count(f"linux/{architecture}") for warning in warnings] == ([] if is_ours else [1])

"""Images by the command line: in from a real registry and from archives, out again, and kept whole."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, eventually
from tests.needs import require_command, require_root
from tests.parts import skopeo, umoci
from tests.parts.big_image import BigImages
from tests.parts.compare_trees import differences
from tests.parts.oci_layout import LAYER, LayoutImage, LayoutWriter
from tests.parts.registry import Registry

pytestmark = pytest.mark.slow
KILLS = 10


@pytest.fixture
def carob(bare: Command) -> Iterator[Command]:
    """``carob`` as root on an empty data directory; pods that are left are removed."""
    require_root()
    require_command("crun")
    yield bare
    for pod in bare.json("list"):
        bare("rm", "--force", pod["uuid"])


@pytest.fixture(scope="module")
def debian(registry: Registry, big_images: BigImages) -> str:
    """The name of a Debian image on the plain registry."""
    registry.push(big_images.gzip.oci, "images/debian")
    return f"{registry.host}/images/debian:latest"


@pytest.fixture(scope="module")
def layouts(rootfs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LayoutImage, LayoutImage]:
    """Two small images of three layers, busybox at the bottom, that share all but the topmost."""
    path = tmp_path_factory.mktemp("small") / "layout"
    writer = LayoutWriter(path)
    base = writer.blob(_tar_of(rootfs), LAYER)
    middle = writer.blob(_tar("middle", b"middle"), LAYER)
    for number in range(2):
        top = writer.blob(_tar("top", b"%d" % number), LAYER)
        writer.image([base, middle, top], tag=f"small-{number}")
    writer.save()
    return LayoutImage(path, "small-0"), LayoutImage(path, "small-1")


def _tar_of(tree: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(tree.rglob("*")):
            archive.add(path, str(path.relative_to(tree)), recursive=False)
    return buffer.getvalue()


def _tar(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def small(registry: Registry, layouts: tuple[LayoutImage, LayoutImage]) -> str:
    """The name of a small image on the plain registry."""
    registry.push(layouts[0].oci, "images/small")
    return f"{registry.host}/images/small:latest"


@pytest.fixture
def stocked(carob: Command, small: str) -> Command:
    """``carob`` with the small image in its store."""
    carob.ok("fetch", small)
    return carob


def log_in(carob: Command, registry: Registry) -> dict[str, str]:
    """Return the variables by which the registry's user and authority are known."""
    assert registry.credentials is not None
    file = Path(carob.environment["HOME"]) / "auth.json"
    secret = base64.b64encode(":".join(registry.credentials).encode()).decode()
    file.write_text(json.dumps({"auths": {registry.host: {"auth": secret}}}))
    file.chmod(0o600)
    return {"REGISTRY_AUTH_FILE": str(file), "SSL_CERT_FILE": str(registry.ca_file)}


def strays(data_dir: Path) -> list[str]:
    """Return what is left of fetches that are over."""
    places = [data_dir / "images/.tmp", data_dir / "layers/.tmp"]
    return [str(path) for place in places if place.is_dir() for path in place.iterdir()]


# --- in -------------------------------------------------------------------------------------------


def test_fetch_by_tag_and_by_digest_with_credentials(
    carob: Command, basic_registry: Registry, big_images: BigImages
) -> None:
    digest = basic_registry.push(big_images.gzip.oci, "private/debian")
    known = log_in(carob, basic_registry)
    name = f"{basic_registry.host}/private/debian"
    refused = carob("fetch", name, env={"SSL_CERT_FILE": known["SSL_CERT_FILE"]})
    assert refused.returncode == 125
    assert "UNAUTHORIZED" in refused.stderr or "credentials" in refused.stderr
    mark = basic_registry.mark()
    assert carob.ok("fetch", name, env=known).strip() == digest
    assert set(basic_registry.blob_downloads(mark).values()) == {1}
    mark = basic_registry.mark()
    assert carob.ok("fetch", f"docker://{name}@{digest}", env=known).strip() == digest
    assert not basic_registry.blob_downloads(mark), "what is there is fetched again"
    assert basic_registry.credentials[1] not in refused.stderr  # type: ignore[index]
    assert carob.ok("run", "--rm", f"{name}@{digest}", "--", "python3", "-c", "print(6*7)") == "42\n"


def test_the_unpacked_tree_is_umocis(
    carob: Command, debian: str, big_images: BigImages, tmp_path: Path
) -> None:
    umoci.unpack(big_images.gzip.umoci, tmp_path / "umoci")
    carob.ok("fetch", debian)
    carob.ok("image", "render", debian, str(tmp_path / "rendered"))
    assert differences(tmp_path / "rendered", tmp_path / "umoci") == []


def test_a_killed_fetch_goes_on_and_leaves_nothing(carob: Command, registry: Registry, debian: str) -> None:
    began = time.monotonic()
    carob.ok("fetch", debian)
    whole_s = time.monotonic() - began
    shutil.rmtree(carob.data_dir)
    mark = registry.mark()
    for number in range(1, KILLS + 1):
        process = carob.start("fetch", debian)
        time.sleep(whole_s * number / (KILLS + 2))
        process.kill()
        process.communicate()
        assert carob.json("image", "list") in ([], [_summary(carob, debian)])
    image_id = carob.ok("fetch", debian).strip()
    assert carob("image", "verify").returncode == 0
    assert carob.ok("run", "--rm", debian, "--", "true") == ""
    carob.ok("image", "gc")
    assert strays(carob.data_dir) == []
    assert [image["image_id"] for image in carob.json("image", "list")] == [image_id]
    layers = {layer["digest"] for layer in carob.json("image", "inspect", debian)["layers"]}
    assert layers <= set(registry.blob_downloads(mark)), "the registry was asked for every layer"


def _summary(carob: Command, name: str) -> Any:
    (found,) = [image for image in carob.json("image", "list") if name in image["names"]] or [None]
    return found


def test_two_processes_fetch_each_blob_once(carob: Command, registry: Registry, debian: str) -> None:
    mark = registry.mark()
    both = [carob.start("fetch", debian) for _ in range(2)]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    layers = {layer["digest"] for layer in carob.json("image", "inspect", debian)["layers"]}
    downloads = registry.blob_downloads(mark)
    assert {digest: downloads[digest] for digest in layers} == dict.fromkeys(layers, 1)
    assert strays(carob.data_dir) == []


def test_the_second_of_a_family_brings_its_own_layer_alone(
    carob: Command, registry: Registry, layouts: tuple[LayoutImage, LayoutImage]
) -> None:
    for number, image in enumerate(layouts):
        registry.push(image.oci, f"family/{number}")
    carob.ok("fetch", f"{registry.host}/family/0")
    mark = registry.mark()
    carob.ok("fetch", f"{registry.host}/family/1")
    layers = [layer["digest"] for layer in layouts[1].layers()]
    assert set(layers) & set(registry.blob_downloads(mark)) == {layers[-1]}
    usage = carob.json("image", "usage")
    assert sum(image["size_bytes"] for image in usage["images"]) > usage["total_bytes"]


def test_an_interrupted_fetch_says_so_and_ends(carob: Command, debian: str) -> None:
    process = carob.start("fetch", debian)
    eventually(lambda: strays(carob.data_dir))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert b"Traceback" not in said
    assert carob.json("image", "list") == []


def test_signals_end_what_comes_through_a_pipe_but_for_those_that_are_ignored(
    carob: Command, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    carob.ok("image", "gc")  # the store is there
    for words in (("fetch", f"tar:{pipe}", "--name", "x"), ("image", "load", str(pipe))):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        try:
            process = carob.start(*words)
        finally:
            signal.signal(signal.SIGHUP, before)
        with pipe.open("wb"):  # it has begun to read by now
            process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert b"Traceback" not in said
    assert carob.json("image", "list") == []


def test_run_fetches_what_is_missing_and_asks_no_more(carob: Command, registry: Registry, small: str) -> None:
    never = carob("run", "--pull=never", small, "--", "true")
    assert never.returncode == 125
    assert "no image" in never.stderr
    assert carob.ok("run", "--rm", small, "--", "echo", "there") == "there\n"
    mark = registry.mark()
    assert carob.ok("run", "--rm", small, "--", "echo", "again") == "again\n"
    assert registry.requests(mark) == []
    assert carob.ok("run", "--rm", "--pull=new", small, "--", "echo", "new") == "new\n"
    assert registry.requests(mark)
    assert not registry.blob_downloads(mark)


def test_a_tag_that_moved_is_fetched_anew(
    carob: Command, registry: Registry, layouts: tuple[LayoutImage, LayoutImage]
) -> None:
    name = f"{registry.host}/moving/app:1"
    registry.push(layouts[0].oci, "moving/app", "1")
    first = carob.ok("fetch", name)
    registry.push(layouts[1].oci, "moving/app", "1")
    assert carob.ok("fetch", "--pull=missing", name) == first
    second = carob.ok("fetch", name)
    assert second != first
    assert carob.json("image", "inspect", name)["id"] == second.strip()


def test_an_alias_stands_for_a_name_and_nothing_is_guessed(
    carob: Command, registry: Registry, small: str
) -> None:
    unknown = carob("run", "debian", "--", "true")
    assert unknown.returncode == 125
    assert "there is no image 'debian:latest'" in unknown.stderr
    configuration = Path(carob.environment["HOME"]) / ".config/carob"
    configuration.mkdir(parents=True)
    (configuration / "registries.toml").write_text(f'[aliases]\ndebian = "{small.rpartition(":")[0]}"\n')
    assert carob("run", "--pull=never", "debian", "--", "true").returncode == 125
    assert carob.ok("run", "--rm", "debian", "--", "echo", "found") == "found\n"
    assert carob.ok("run", "--rm", "--pull=never", "debian", "--", "echo", "here") == "here\n"


def test_images_of_archives_and_layouts_run(
    stocked: Command, small: str, layouts: tuple[LayoutImage, LayoutImage], tmp_path: Path
) -> None:
    addresses = [layouts[0].oci]
    for kind in ("oci-archive", "docker-archive"):
        stocked.ok("image", "save", f"--type={kind}", f"--output={tmp_path}/{kind}", small)
        addresses.append(f"{kind}:{tmp_path}/{kind}")
    stocked.ok("image", "rm", small)
    for kind in ("oci-archive", "docker-archive"):
        with open(tmp_path / kind, "rb") as file:
            piped = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
            assert stocked.ok("image", "load", "-", stdin=piped.stdout) == f"{small}\n"
            piped.communicate()
        stocked.ok("image", "rm", small)
    for address in addresses:
        stocked.ok("fetch", address, "--name", "example.org/a:1")
        assert stocked.ok("run", "--rm", "example.org/a:1", "--", "cat", "/middle") == "middle"
    assert stocked.ok("run", "--rm", "--pull=always", addresses[0], "--", "cat", "/top") == "0"


def test_a_tar_comes_through_standard_input(carob: Command, rootfs: Path) -> None:
    """A pipe, a file, or a socket as ssh has it."""
    data = _tar_of(rootfs)
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        streams: list[Any] = [file, theirs]
        for number, stream in enumerate(streams):
            if stream is theirs:
                sender = threading.Thread(target=lambda: (ours.sendall(data), ours.close()))
                sender.start()
            carob.ok("image", "import", "-", "--name", f"piped:{number}", stdin=stream)
        sender.join()
    ids = {image["image_id"] for image in carob.json("image", "list")}
    assert len(ids) == 1
    assert carob.ok("run", "--rm", "piped:1", "--", "echo", "there") == "there\n"


def test_a_umask_keeps_others_out_but_not_the_owner(carob: Command, rootfs: Path) -> None:
    carob.ok("image", "import", str(rootfs), "--name", "app", umask=0o777)
    for path in ("images", "images/blobs/sha256", "images/.tmp"):
        assert stat.S_IMODE((carob.data_dir / path).stat().st_mode) == 0o700
    assert stat.S_IMODE((carob.data_dir / "images/index.json").stat().st_mode) == 0o600


def test_the_platform_asked_for_is_taken(carob: Command, registry: Registry, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "layout")
    layer = writer.blob(_tar("file", b"same for all"), LAYER)
    kinds = [{"os": "linux", "architecture": name} for name in ("amd64", "arm64")]
    writer.index([{**writer.image([layer], platform=kind), "platform": kind} for kind in kinds], tag="both")
    writer.save()
    registry.push(LayoutImage(tmp_path / "layout", "both").oci, "index", all_platforms=True)
    name = f"{registry.host}/index"
    carob.ok("fetch", "--no-unpack", "--platform=linux/arm64", name)
    assert carob.json("image", "inspect", name)["architecture"] == "arm64"
    wrong = carob("fetch", "--platform=linux/s390x", name)
    assert wrong.returncode == 125
    assert "s390x" in wrong.stderr


# --- the store, and out ---------------------------------------------------------------------------


def test_other_tools_read_the_store(stocked: Command, small: str) -> None:
    layout = stocked.data_dir / "images"
    inspected = json.loads(skopeo.run("inspect", f"oci:{layout}:{small}"))
    assert len(inspected["Layers"]) == 3
    assert small in umoci.run("list", "--layout", str(layout)).split()


def test_podman_loads_a_saved_archive(stocked: Command, small: str, tmp_path: Path) -> None:
    podman = require_command("podman")
    stocked.ok("image", "tag", small, "example.org/saved:1")
    for kind in ("oci-archive", "docker-archive"):
        archive = tmp_path / f"{kind}.tar"
        stocked.ok("image", "save", "--type", kind, "-o", str(archive), "example.org/saved:1")
        with tempfile.TemporaryDirectory(prefix="carob-") as place:  # podman takes no longer paths
            places = [f"--root={place}/r", f"--runroot={place}/s", "--storage-driver=vfs"]
            loaded = subprocess.run(
                [podman, *places, "load", "-q", "-i", str(archive)],
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | {"HOME": place},
            )
        assert "example.org/saved:1" in loaded.stdout, loaded.stderr


def test_a_pushed_image_is_pulled_by_skopeo(
    stocked: Command, registry: Registry, small: str, tmp_path: Path
) -> None:
    mark = registry.mark()
    target = f"docker://{registry.host}/pushed/small:2"
    first = stocked("image", "push", small, target)
    assert first.stderr.count(": mounted\n") == 4
    pushed = first.stdout.strip()
    assert pushed.endswith("@" + stocked.json("image", "inspect", small)["id"])
    sent = [
        one for one in registry.requests(mark) if one.method in ("PATCH", "PUT") and "/blobs/" in one.path
    ]
    assert sent == [], "blobs of the same registry are mounted, not sent"
    registry.pull("pushed/small", "2", f"oci:{tmp_path}/layout:x")
    again = stocked("image", "push", small, f"docker://{registry.host}/pushed/small:3")
    assert again.stdout.strip() == pushed
    assert again.stderr.count(": shared\n") == 4


def test_a_blob_goes_to_another_registry_once(stocked: Command, token_registry: Registry, small: str) -> None:
    known = log_in(stocked, token_registry)
    target = f"docker://{token_registry.host}/from/carob:1"
    first = stocked("image", "push", "--progress=json", small, target, env=known)
    assert [json.loads(line)["outcome"] for line in first.stderr.splitlines()] == ["uploaded"] * 4
    mark = token_registry.mark()
    stocked.ok("image", "push", small, target, env=known)
    methods = {one.method for one in token_registry.requests(mark) if "/blobs/" in one.path}
    assert methods <= {"HEAD"}
    assert token_registry.inspect("from/carob", "1")["layers"]


def test_verify_puts_the_broken_aside_and_a_fetch_brings_it_again(stocked: Command, small: str) -> None:
    inspected = stocked.json("image", "inspect", small)
    digest = inspected["layers"][0]["digest"]
    blob = stocked.data_dir / "images/blobs/sha256" / digest.partition(":")[2]
    with blob.open("r+b") as file:
        file.seek(1000)
        file.write(b"broken")
    chain = inspected["layers"][1]["chain_id"].partition(":")[2]
    (stocked.data_dir / "layers" / chain / "added").write_text("not of this layer")
    result = stocked("image", "verify", "--format=json")
    assert result.returncode == 125
    broken = {(one["kind"], one["name"]) for one in json.loads(result.stdout)["broken"]}
    assert ("blob", digest) in broken
    assert ("layer", f"sha256:{chain}") in broken
    assert not blob.exists()
    stocked.ok("fetch", small)
    assert stocked("image", "verify").returncode == 0
    assert stocked.ok("run", "--rm", small, "--", "cat", "/middle") == "middle"


def test_gc_takes_nothing_of_a_pods(stocked: Command, small: str) -> None:
    uuid = stocked.ok("prepare", small, "--", "echo", "still here").strip()
    refused = stocked("image", "rm", small)
    assert refused.returncode == 125
    stocked.ok("image", "gc")
    assert stocked.ok("run-prepared", uuid) == "still here\n"
    stocked.ok("rm", uuid)
    stocked.ok("image", "rm", small)
    stocked.ok("image", "gc")
    assert stocked.json("image", "usage")["total_bytes"] < 1 << 20


def test_what_an_app_made_becomes_an_image(stocked: Command, small: str, tmp_path: Path) -> None:
    uuid = stocked.ok(
        "run", "--detach", small, "--", "sh", "-c", "echo made > /made; busybox rm /middle; exec sleep 1000"
    ).strip()
    eventually(lambda: not stocked("enter", uuid, "--", "cat", "/made").returncode)
    stocked.ok("stop", uuid)
    stocked.ok("export", uuid, "--image", "example.org/made:1")
    with (tmp_path / "made.tar").open("wb") as file:
        assert subprocess.run(
            [*stocked.argv, "export", uuid], env=stocked.environment, stdout=file, check=True
        )
    with tarfile.open(tmp_path / "made.tar") as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
    assert "made" in names
    assert "middle" not in names
    shown = stocked.ok("run", "--rm", "example.org/made:1", "--", "sh", "-c", "cat /made; test ! -e /middle")
    assert shown == "made\n"


def test_extract_writes_manifest_and_configuration_beside_the_tree(
    stocked: Command, small: str, tmp_path: Path
) -> None:
    stocked.ok("image", "extract", small, str(tmp_path / "all"))
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        "config.json",
        "manifest.json",
        "rootfs",
    ]
    manifest = stocked.ok("image", "cat-manifest", small)
    assert (tmp_path / "all/manifest.json").read_text() == manifest
    again = stocked("image", "extract", small, str(tmp_path / "all"))
    assert again.returncode == 125
    assert "not empty" in again.stderr


def test_history_and_progress_are_told_in_json(carob: Command, small: str) -> None:
    result = carob("fetch", small, "--progress=json")
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert {event["phase"] for event in events} >= {"downloading", "done"}
    assert {event["position"] for event in events} == {0, 1, 2}
    assert len(carob.json("image", "history", small)) == 3


def test_names_and_digits_that_stand_for_too_much_are_refused(stocked: Command, small: str) -> None:
    image_id = stocked.json("image", "inspect", small)["id"]
    assert stocked("image", "rm", image_id[: len("sha256:") + 1]).returncode == 125
    assert stocked.json("image", "list")
    stocked.ok("image", "tag", image_id, "example.org/other:2")
    assert stocked.ok("run", "--rm", "example.org/other:2", "--", "true") == ""

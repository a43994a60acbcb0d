"""What carob writes for rkt's tools is what appc's schema accepts, and says what the pod is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.engine.appc import documents
from carob.engine.appc import mounts as mount_documents
from carob.engine.request.mounts import Mount
from carob.engine.request.pod import App, PodRequest, app_name_from, check_app_name
from carob.errors import InvalidInput
from carob.runtime.bundle import Process
from carob.spec.appc import ImageManifest, PodManifest

PROCESS = Process(["sh", "-c", "true"], ["PATH=/bin", "EMPTY=", "EQUALS=a=b"], "/work", 5, 6, (7, 8))
IMAGE_ID = "sha256:" + "ab" * 32


def test_the_pod_manifest_is_valid_and_complete() -> None:
    mounts = (Mount("/host", "/data", read_only=True),)
    app = documents.runtime_app("web", "busybox:latest", IMAGE_ID, PROCESS, mounts)
    volumes = mount_documents.appc_volumes("web", mounts, [{"kind": "host", "source": "/host"}])
    raw = documents.pod_manifest([app], volumes, {documents.POD_NAME: "Größe"})
    manifest = PodManifest.from_json(raw)
    found = manifest.apps.get("web")
    assert found is not None
    assert found.app is not None
    assert tuple(found.app.exec) == ("sh", "-c", "true")
    assert (found.app.user, found.app.group, found.app.working_directory) == ("5", "6", "/work")
    assert found.app.environment.get("EQUALS") == "a=b"
    assert [str(volume.name) for volume in manifest.volumes] == ["web-mount-0"]
    assert manifest.annotations.get(documents.POD_NAME) == "Größe"
    assert found.annotations.get(documents.IMAGE_DIGEST) == IMAGE_ID
    assert PodManifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("architecture", ["amd64", "arm64", "riscv64", "s390x", "mips64le"])
def test_the_image_manifest_is_valid_for_every_architecture(architecture: str) -> None:
    image = {"os": "linux", "architecture": architecture}
    manifest = ImageManifest.from_json(documents.image_manifest("Example.org/App:1", image, PROCESS))
    assert str(manifest.name) == "example.org/app-1"
    assert manifest.labels.get("os") == "linux"


@given(st.text(min_size=1, max_size=300))
def test_any_image_name_gives_an_identifier_and_an_app_name(name: str) -> None:
    check_app_name(app_name_from(name))
    process = Process(["a"], [], "/", 0, 0)
    image = {"os": "linux", "architecture": "amd64"}
    ImageManifest.from_json(documents.image_manifest(name, image, process))


def test_image_hashes_are_what_appc_takes() -> None:
    app = documents.runtime_app("web", "busybox", IMAGE_ID, PROCESS, ())
    assert app["image"]["id"].startswith("sha512-")
    assert documents.image_hash("a") != documents.image_hash("b")


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a.b", "a/b", "ü", "a" * 201, "a--b"])
def test_names_that_rkt_does_not_take_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        App("busybox", name=name)


def test_one_string_for_arguments_is_refused() -> None:
    with pytest.raises(InvalidInput, match="sequence of words"):
        App("busybox", "echo hi")


@pytest.mark.parametrize(
    "wrong",
    [
        {"args": ["a\0b"]},
        {"env": {"": "x"}},
        {"env": {"A=B": "x"}},
        {"env": {"A": "x\0"}},
        {"workdir": "relative"},
        {"image": ""},
    ],
)
def test_what_cannot_be_run_is_refused_at_once(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        App(**{"image": "busybox", **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "target"), [("rel", "/a"), ("/a", "rel"), ("/a", "/"), ("/a", "/../"), ("/\0", "/a")]
)
def test_mounts_that_cannot_be_are_refused(source: str, target: str) -> None:
    with pytest.raises(InvalidInput):
        Mount(source, target)


def test_variables_that_appc_does_not_take_are_left_out_of_what_rkt_reads() -> None:
    process = Process(["a"], ["GOOD=1", "1 a/b=2", "ü=3", "_x.y-z=4"], "/", 0, 0)
    raw = documents.pod_manifest([documents.runtime_app("web", "i", IMAGE_ID, process, ())], [], {})
    found = PodManifest.from_json(raw).apps.get("web")
    assert found is not None
    assert found.app is not None
    assert found.app.environment.to_map() == {"GOOD": "1", "_x.y-z": "4"}


@pytest.mark.parametrize("name", ["Owner", "", "a b", "a//b", "-a", "ü"])
def test_annotations_that_appc_does_not_take_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="annotation"):
        PodRequest([App("busybox")], annotations={name: "me"})

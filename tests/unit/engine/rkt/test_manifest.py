"""From appc pod manifests to requests: what is taken, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carob.engine.appc.documents import image_hash
from carob.engine.images.collection import Images
from carob.engine.request.mounts import EmptyVolume
from carob.engine.request.resources import Resources
from carob.engine.rkt.manifest import request
from carob.errors import InvalidInput, NotFound, Unsupported

NAMED = "sha512-" + "0" * 64


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    root = tmp_path_factory.mktemp("rootfs")
    (root / "file").write_text("x")
    found = Images(str(tmp_path_factory.mktemp("data")))
    found.import_path(root, name="example.org/app:1")
    return found


def document(**app: Any) -> dict[str, Any]:
    """A manifest of one app that the image above can run."""
    entry = {
        "name": "web",
        "image": {"name": "example.org/app", "id": NAMED, "labels": [{"name": "version", "value": "1"}]},
        "app": {"exec": ["/bin/x", "y"], "user": "7", "group": "8", **app},
    }
    return {"acVersion": "0.8.11", "acKind": "PodManifest", "apps": [entry]}


def read(value: dict[str, Any], images: Images, **options: Any) -> Any:
    return request(json.dumps(value).encode(), images, **options)


def test_everything_that_is_taken(images: Images) -> None:
    value = document(
        workingDirectory="/w",
        environment=[{"name": "K", "value": "v"}],
        mountPoints=[{"name": "a", "path": "/a", "readOnly": True}, {"name": "b", "path": "/b"}],
    )
    value["volumes"] = [
        {"name": "a", "kind": "host", "source": "/host/a"},
        {"name": "other", "kind": "host", "source": "/host/b", "readOnly": True, "recursive": False},
    ]
    value["apps"][0]["mounts"] = [{"volume": "other", "path": "/b"}]
    value["annotations"] = [
        {"name": "carob/name", "value": "pod"},
        {"name": "carob/network", "value": "host"},
        {"name": "mine", "value": "kept"},
    ]
    made = read(value, images, grace_s=3.0)
    (app,) = made.apps
    assert (made.name, made.network, made.grace_s, made.annotations) == ("pod", "host", 3.0, {"mine": "kept"})
    assert (app.image, app.name, app.exec, app.args) == ("example.org/app:1", "web", "/bin/x", ("y",))
    assert (app.user, app.workdir, app.env) == ("7:8", "/w", {"K": "v"})
    assert {(one.source, one.target, one.read_only, one.recursive) for one in app.mounts} == {
        ("/host/a", "/a", True, True),
        ("/host/b", "/b", True, False),
    }


def test_empty_volumes_are_shared_by_their_names(images: Images) -> None:
    value = document(mountPoints=[{"name": "v", "path": "/point"}])
    value["volumes"] = [{"name": "v", "kind": "empty", "mode": "1777", "uid": 5, "readOnly": True}]
    own = {"name": "v", "kind": "empty"}
    value["apps"][0]["mounts"] = [
        {"volume": "v", "path": "/given"},
        {"volume": "v", "path": "/own", "appVolume": own},
    ]
    (app,) = read(value, images).apps
    assert {one.target: (one.source, one.read_only) for one in app.mounts} == {
        "/given": (EmptyVolume("v", mode=0o1777, uid=5), True),
        "/own": (EmptyVolume(), False),
        "/point": (EmptyVolume("v", mode=0o1777, uid=5), True),
    }


def test_words_of_the_callers_own_are_kept_and_no_pod_from_a_manifest_is_mutable(images: Images) -> None:
    value = document() | {"userLabels": {"A/b": "1"}, "userAnnotations": {"C": "2"}}
    made = read(value, images)
    assert (made.labels, made.user_annotations, made.mutable) == ({"A/b": "1"}, {"C": "2"}, False)
    value["annotations"] = [{"name": "coreos.com/rkt/stage1/mutable", "value": "true"}]
    with pytest.raises(Unsupported, match="mutable pods with apps from the start"):
        read(value, images)


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        ("{", "apps[0]: carob/mounts is not JSON"),
        ('{"target": "/a"}', "apps[0]: carob/mounts is a list of objects"),
        ('[{"target": "/a", "kind": "disk"}]', "apps[0]: there are no mounts of kind 'disk'"),
    ],
)
def test_notes_of_mounts_that_make_no_sense(images: Images, noted: str, words: str) -> None:
    value = document()
    value["volumes"] = [{"name": "a", "kind": "host", "source": "/host/a"}]
    value["apps"][0]["mounts"] = [{"volume": "a", "path": "/a"}]
    value["apps"][0]["annotations"] = [{"name": "carob/mounts", "value": noted}]
    with pytest.raises(InvalidInput) as caught:
        read(value, images)
    assert caught.value.message.startswith(words)


def test_what_is_given_beside_the_manifest_wins(images: Images) -> None:
    value = document()
    value["annotations"] = [{"name": "carob/network", "value": "host"}]
    made = read(value, images, name="given", network="none")
    assert (made.name, made.network) == ("given", "none")
    assert read(document(), images, default_network="host").network == "host"


def test_an_image_is_found_by_its_id(images: Images) -> None:
    (summary,) = images.list()
    value = document()
    value["apps"][0]["image"] = {"id": image_hash(summary.image_id)}
    assert read(value, images).apps[0].image == summary.image_id
    del value["apps"][0]["app"]
    assert read(value, images).apps[0].exec is None


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ({"id": "sha512-" + "1" * 64}, "apps[0].image.id: no image of the store"),
        ({"id": NAMED}, "apps[0].image.id: no image of the store"),
        ({"id": NAMED, "name": "other"}, "apps[0].image: there is no image other"),
    ],
)
def test_images_that_are_not_there(images: Images, image: dict[str, Any], words: str) -> None:
    value = document()
    value["apps"][0]["image"] = image
    with pytest.raises(NotFound) as caught:
        read(value, images)
    assert caught.value.message.startswith(words)


BANDWIDTH = [{"name": "resource/block-bandwidth", "value": {"default": True, "limit": "1G"}}]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("isolators", BANDWIDTH),
        ("isolators", [{"name": "os/linux/no-new-privileges", "value": True}]),
        ("surprise", 1),
        ("volumes", [{"name": "v", "kind": "empty", "surprise": 1}]),
        ("apps[0].annotations", [{"name": "mine", "value": "x"}]),
        ("apps[0].surprise", 1),
        ("apps[0].image.labels", [{"name": "arch", "value": "sparc"}]),
        ("apps[0].image.surprise", 1),
        ("apps[0].app.isolators", BANDWIDTH),
        ("apps[0].app.eventHandlers", [{"name": "pre-start", "exec": ["/x"]}]),
        ("apps[0].app.user", "/etc/passwd"),
        ("apps[0].app.surprise", {}),
    ],
)
def test_what_carob_cannot_do_is_refused_by_name(images: Images, path: str, value: Any) -> None:
    whole = document()
    target: Any = whole
    *steps, key = path.replace("[0]", ".0").split(".")
    for step in steps:
        target = target[int(step) if step.isdigit() else step]
    target[key] = value
    with pytest.raises(Unsupported) as caught:
        read(whole, images)
    assert caught.value.message.startswith(path)


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ({"exec": ["/bin/x", "a\0b"]}, "an argument has a NUL in it"),
        ({"exec": ["/bin/\0x"]}, "exec has a NUL in it"),
        ({"environment": [{"name": "A", "value": "\0"}]}, "A in env has a NUL in it"),
        ({"workingDirectory": "/a\0b"}, "a working directory has a NUL in it"),
    ],
)
def test_what_no_process_can_be_given_is_refused_as_for_any_app(
    images: Images, app: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(document(**app), images)
    assert caught.value.message.startswith(f"apps[0]: {words}")


def test_a_manifest_cannot_say_what_carob_notes_itself(images: Images) -> None:
    value = document()
    value["annotations"] = [{"name": "carob/surprise", "value": "x"}]
    with pytest.raises(InvalidInput, match="'carob/surprise' is for carob to write"):
        read(value, images)


def test_what_is_no_pod_manifest(images: Images, tmp_path: Path) -> None:
    for raw in (b"", b"{}", b'{"acKind":"ImageManifest","acVersion":"0.8.11"}', b'{"acKind":"PodManifest"}'):
        with pytest.raises(InvalidInput):
            request(raw, images)
    value = document()
    value["apps"][0]["mounts"] = [{"volume": "nowhere", "path": "/x"}]
    with pytest.raises(InvalidInput, match="the pod has no volume 'nowhere'"):
        read(value, images)
    value = document(mountPoints=[{"name": "data", "path": "/x"}])
    with pytest.raises(InvalidInput, match=r"nothing is mounted at /x \(data\)"):
        read(value, images)


def test_isolators_become_security_and_resources(images: Images) -> None:
    whole = document(
        supplementaryGIDs=[5],
        isolators=[
            {"name": "os/linux/capabilities-retain-set", "value": {"set": ["CAP_KILL"]}},
            {"name": "os/linux/seccomp-remove-set", "value": {"set": ["mkdir"], "errno": "ENOSYS"}},
            {"name": "os/linux/no-new-privileges", "value": False},
            {"name": "os/linux/oom-score-adj", "value": 7},
            {"name": "resource/cpu", "value": {"request": "250m", "limit": "1500m"}},
            {"name": "resource/memory", "value": {"request": "32Mi", "limit": "64Mi"}},
        ],
    )
    whole["apps"][0]["readOnlyRootFS"] = True
    whole["isolators"] = [{"name": "os/unix/sysctl", "value": {"net.core.somaxconn": "9"}}]
    made = read(whole, images)
    (app,) = made.apps
    given = app.security.given()
    calls = given.pop("seccomp")
    assert (calls.mode, calls.names, calls.errno) == ("remove", ("mkdir",), "ENOSYS")
    assert given == {
        "cap_retain": ("CAP_KILL",),
        "groups": ("5",),
        "no_new_privileges": False,
        "oom_score_adj": 7,
        "read_only_rootfs": True,
    }
    assert app.resources == Resources(
        cpus=1.5, cpu_shares=256, memory_bytes=64 << 20, memory_reservation_bytes=32 << 20
    )
    assert made.sysctls == {"net/core/somaxconn": "9"}


@pytest.mark.parametrize(
    "annotation", ["{", "[]", '{"security": 1}', '{"surprise": 1}', '{"security": {"surprise": 1}}',
                   '{"resources": {"surprise": 1}}', '{"security": {"devices": [7]}}',
                   '{"security": {"seccomp": {"mode": "retain"}}}', '{"security": {"cap_add": ["KILL"]}}']
)  # fmt: skip
def test_an_annotation_that_carob_did_not_write_is_refused(images: Images, annotation: str) -> None:
    whole = document()
    whole["apps"][0]["annotations"] = [{"name": "carob/isolation", "value": annotation}]
    with pytest.raises(InvalidInput, match="carob/isolation"):
        read(whole, images)

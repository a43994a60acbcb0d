"""From appc pod manifests to requests: what is taken, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carob.engine.documents import image_hash
from carob.engine.images import Images
from carob.engine.pod_manifest import request
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


ISOLATOR = [{"name": "resource/memory", "value": {"limit": "1G"}}]
PORT = [{"name": "http", "port": 80, "protocol": "tcp"}]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("isolators", ISOLATOR),
        ("ports", [{"name": "http", "hostPort": 80}]),
        ("userAnnotations", {"a": "b"}),
        ("userLabels", {"a": "b"}),
        ("surprise", 1),
        ("volumes", [{"name": "v", "kind": "empty"}]),
        ("apps[0].readOnlyRootFS", True),
        ("apps[0].annotations", [{"name": "mine", "value": "x"}]),
        ("apps[0].surprise", 1),
        ("apps[0].image.labels", [{"name": "arch", "value": "sparc"}]),
        ("apps[0].image.surprise", 1),
        ("apps[0].app.isolators", ISOLATOR),
        ("apps[0].app.ports", PORT),
        ("apps[0].app.eventHandlers", [{"name": "pre-start", "exec": ["/x"]}]),
        ("apps[0].app.supplementaryGIDs", [5]),
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

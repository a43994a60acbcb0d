"""Image manifests."""

from __future__ import annotations

import pytest

from carob.spec.appc import App, Dependency, FieldError, ImageManifest

HEAD = '{"acKind":"ImageManifest","acVersion":"0.8.11",'


def test_read_and_written_in_the_order_of_the_schema() -> None:
    raw = (
        HEAD
        + '"name":"example.com/a","labels":[{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}],'
        '"app":{"exec":["/a"],"user":"0","group":"0"},"annotations":[{"name":"created",'
        '"value":"2016-01-02T3:04:05Z"}],"dependencies":[{"imageName":"b","imageID":"sha512-1","size":22}],'
        '"pathWhitelist":["/a"],"new":[1]}'
    ).encode()
    manifest = ImageManifest.from_json(raw)
    assert manifest.to_json() == raw
    assert manifest.labels.get("arch") == "amd64"
    assert manifest.labels.get("version") is None
    assert manifest.dependencies == (Dependency("b", image_id="sha512-1", size=22),)


def test_what_is_empty_is_left_out() -> None:
    raw = (HEAD + '"name":"a","labels":[],"app":null,"annotations":[],"pathWhitelist":[]}').encode()
    assert ImageManifest.from_json(raw).to_json() == (HEAD + '"name":"a"}').encode()
    assert ImageManifest("a").to_json() == (HEAD + '"name":"a"}').encode()


def test_duplicate_whitelists_are_read_over_one_another() -> None:
    raw = (
        HEAD
        + '"name":"a","pathWhitelist":["/a","/b","/c"],"pathWhitelist":["/d"],"pathWhitelist":["/e",null]}'
    )
    assert ImageManifest.from_json(raw.encode()).path_whitelist == ("/e", "/b")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (HEAD + '"labels":[]}', "name"),
        ('{"acKind":"ImageManifest","name":"a"}', "acVersion"),
        ('{"acVersion":"0.8.11","name":"a"}', "acKind"),
        (HEAD + '"name":"a","dependencies":[null]}', "dependencies[0].imageName"),
        (HEAD + '"name":"a","dependencies":[{"imageName":"b","size":-1}]}', "dependencies[0].size"),
        (
            HEAD + '"name":"a","labels":[{"name":"os","value":"linux"},{"name":"arch","value":"x86_64"}]}',
            "labels",
        ),
        (HEAD + '"name":"a","annotations":[{"name":"homepage","value":"ftp://a"}]}', "annotations"),
    ],
)
def test_the_path_of_what_is_refused(text: str, path: str) -> None:
    with pytest.raises(FieldError) as caught:
        ImageManifest.from_json(text.encode())
    assert caught.value.path == path


def test_an_architecture_without_an_os_is_free() -> None:
    assert ImageManifest("a", labels={"arch": "pdp11"}).labels.to_map() == {"arch": "pdp11"}


def test_changing_one_label_and_one_annotation() -> None:
    manifest = ImageManifest("a", labels={"os": "linux", "x": "1"}, app=App(["/a"]))
    labels = manifest.labels.with_value("x", "2").with_value("y", "3")
    assert labels.to_map() == {"os": "linux", "x": "2", "y": "3"}
    assert manifest.labels.to_map() == {"os": "linux", "x": "1"}
    assert labels.without("x").to_map() == {"os": "linux", "y": "3"}
    with pytest.raises(FieldError):
        manifest.annotations.with_value("created", "yesterday")

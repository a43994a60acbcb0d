"""Pod manifests: what is accepted and written is what appc's Go package accepts and writes."""

from __future__ import annotations

import json
import pickle

import pytest

from carob.errors import InvalidInput
from carob.spec.appc import (
    App,
    ExposedPort,
    FieldError,
    Isolator,
    Mount,
    PodManifest,
    Resource,
    RuntimeApp,
    RuntimeImage,
    Volume,
    kind_of,
)
from tests.unit.spec.appc.documents import pod, pod_with, read_app

IMAGE = RuntimeImage("sha512-1")


def written(raw: bytes) -> bytes:
    return PodManifest.from_json(raw).to_json()


def refusal(raw: bytes) -> str:
    with pytest.raises(FieldError) as caught:
        PodManifest.from_json(raw)
    return caught.value.path


def test_the_least_manifest_and_what_is_left_out() -> None:
    assert written(b'{"acVersion":"0.8.11","acKind":"PodManifest"}') == (
        b'{"acVersion":"0.8.11","acKind":"PodManifest","apps":null,"volumes":null,'
        b'"isolators":null,"annotations":null,"ports":null}'
    )


def test_null_and_empty_arrays_are_told_apart() -> None:
    manifest = PodManifest.from_json(pod(apps=[], volumes=None))
    assert manifest.apps == () == manifest.volumes
    assert b'"apps":[],"volumes":null' in manifest.to_json()
    assert PodManifest().to_json() == written(pod())


def test_keys_are_written_in_the_order_of_the_schema() -> None:
    raw = pod(
        userLabels={"b": "2", "a": "1"},
        ports=[
            {"hostPort": 80, "name": "p", "hostIP": "::FFFF:1.2.3.4", "podPort": {"port": 1, "name": "x"}}
        ],
        annotations=[],
        volumes=[{"kind": "empty", "name": "v"}],
        apps=[
            {"image": {"id": "sha512-1", "labels": []}, "name": "a", "readOnlyRootFS": False, "mounts": []}
        ],
    )
    assert written(raw) == (
        b'{"acVersion":"0.8.11","acKind":"PodManifest","apps":[{"name":"a","image":{"id":"sha512-1"}}],'
        b'"volumes":[{"name":"v","kind":"empty","mode":"0755","uid":0,"gid":0}],"isolators":null,'
        b'"annotations":[],"ports":[{"name":"p","hostPort":80,"hostIP":"1.2.3.4","podPort":{"name":"x",'
        b'"protocol":"","port":1,"count":1,"socketActivated":false}}],"userLabels":{"a":"1","b":"2"}}'
    )


def test_unknown_keys_survive_at_every_level() -> None:
    raw = (
        b'{"acVersion":"0.8.11","acKind":"PodManifest","apps":[{"name":"a","image":{"id":"sha512-1","i":1.50},'
        b'"app":{"exec":["x"],"user":"0","group":"0","environment":[{"name":"E","value":"1","e":null}],'
        b'"ports":[{"name":"p","protocol":"tcp","port":1,"count":1,"socketActivated":false,"o":[1E3]}],"p":{}},'
        b'"mounts":[{"volume":"v","path":"/","m":true}],"annotations":[{"name":"n","value":"","n2":"\\ud800"}],"r":[]}],'
        b'"volumes":[{"name":"v","kind":"host","source":"/","v2":-0}],'
        b'"isolators":[{"name":"x/y","value":{"a":1,"a":2},"is":1}],"annotations":null,"ports":null,"zz":{"y":"\\u003c"}}'
    )
    manifest = PodManifest.from_json(raw)
    assert manifest.to_json() == raw
    changed = manifest.replace(annotations={"k": "v"})
    assert changed.to_json() == raw.replace(
        b'"annotations":null', b'"annotations":[{"name":"k","value":"v"}]'
    )
    assert manifest.extra == {"zz": {"y": "<"}}
    assert manifest.apps[0].image.extra == {"i": 1.5}


def test_keys_are_compared_without_case_and_the_last_one_counts() -> None:
    manifest = PodManifest.from_json(
        (
            '{"ACVERSION":"0.8.10","acversion":"0.8.11","ackind":"ImageManifest","ac\u212aind":"PodManifest",'
            '"U\u017ferLabel\u017f":{"a":"1"},"userLabels":{"b":"2"}}'
        ).encode()
    )
    assert manifest.ac_version == "0.8.11"
    assert manifest.user_labels == {"a": "1", "b": "2"}
    assert not manifest.extra


def test_a_duplicate_array_is_read_over_the_first_item_by_item() -> None:
    mounts = (
        '"apps":[{"name":"a","image":{"id":"sha512-1"},'
        '"mounts":[{"volume":"v","path":"/a"},{"volume":"w","path":"/b"}],'
        '"mounts":[{"volume":"x"}],"mounts":[{},{"volume":"y"}]}]'
    )
    app = PodManifest.from_json(pod_with(mounts)).apps[0]
    assert app.mounts == (Mount("x", "/a"), Mount("y", "/b"))


def test_after_an_empty_or_null_array_a_duplicate_starts_afresh() -> None:
    for between in ("[]", "null"):
        app = read_app(
            '"user":"0","group":"0","supplementaryGIDs":[1,2],'
            f'"supplementaryGIDs":{between},"supplementaryGIDs":[null,3]'
        ).apps[0]
        assert app.app is not None
        assert app.app.supplementary_gids == (0, 3)


def test_a_null_item_keeps_what_a_duplicate_left_there() -> None:
    app = read_app('"user":"0","group":"0","supplementaryGIDs":[1,2],"supplementaryGIDs":[null]').apps[0].app
    assert app is not None
    assert app.supplementary_gids == (1,)


def test_a_duplicate_app_is_merged_and_a_duplicate_volume_list_item_is_not() -> None:
    text = (
        '"apps":[{"name":"a","image":{"id":"sha512-1","name":"x"},"image":{"id":"sha512-2"},'
        '"app":{"user":"1","group":"2","x":1},"app":{"user":"3"}}]'
    )
    app = PodManifest.from_json(pod_with(text)).apps[0]
    assert (app.image.id, app.image.name) == ("sha512-2", "x")
    assert app.app == App(user="3", group="2", extra={"x": 1})
    assert (
        refusal(pod_with('"volumes":[{"name":"v","kind":"empty"}],"volumes":[{"name":"v"}]'))
        == "volumes[0].kind"
    )


def test_null_means_absent_for_plain_fields_and_empty_for_checked_ones() -> None:
    app = read_app(
        '"exec":null,"user":"0","user":null,"group":"0","ports":null,"userLabels":{"a":null}'
    ).apps[0]
    assert app.app is not None
    assert (app.app.user, app.app.user_labels) == ("0", {"a": ""})
    assert b'"app":{"exec":null,"user":"0"' in app.to_json()
    assert refusal(pod(apps=[{"name": None}])) == "apps[0].name"
    assert refusal(pod(volumes=[None])) == "volumes[0].name"
    assert refusal(pod(acVersion=None)) == "acVersion"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('"apps":{}', "apps"),
        ('"apps":[[]]', "apps[0]"),
        ('"apps":[{"name":1}]', "apps[0].name"),
        ('"apps":[{"name":"A"}]', "apps[0].name"),
        ('"apps":[{"name":"a"},{"name":"a"}]', "apps[1].name"),
        ('"apps":[{},{}]', "apps[1].name"),
        ('"apps":[{"image":{"id":"sha256-1"}}]', "apps[0].image.id"),
        ('"apps":[{"image":{"labels":[{"name":"name"}]}}]', "apps[0].image.labels"),
        ('"apps":[{"image":{"labels":[{"name":"os","value":"plan9"}]}}]', "apps[0].image.labels"),
        ('"apps":[{"readOnlyRootFS":"true"}]', "apps[0].readOnlyRootFS"),
        ('"apps":[{"app":{"user":"0"}}]', "apps[0].app.group"),
        ('"apps":[{"app":{"user":"0","group":"0","exec":[1]}}]', "apps[0].app.exec[0]"),
        ('"apps":[{"app":{"user":"0","group":"0","workingDirectory":"a"}}]', "apps[0].app.workingDirectory"),
        (
            '"apps":[{"app":{"user":"0","group":"0","supplementaryGIDs":[1.0]}}]',
            "apps[0].app.supplementaryGIDs[0]",
        ),
        ('"apps":[{"app":{"environment":[{"name":"1"}]}}]', "apps[0].app.environment[0].name"),
        ('"apps":[{"app":{"eventHandlers":[{"name":"x"}]}}]', "apps[0].app.eventHandlers[0].name"),
        ('"apps":[{"app":{"user":"0","group":"0","isolators":[{"name":"x"}]}}]', "apps[0].app.isolators[0]"),
        ('"volumes":[{"name":"v","kind":"host","source":"a"}]', "volumes[0].source"),
        ('"volumes":[{"name":"v","kind":"empty"},{"name":"v","kind":"empty"}]', "volumes[1].name"),
        ('"isolators":[{"name":"resource/cpu"}]', "isolators[0].value"),
        ('"isolators":[{"name":"resource/cpu","value":null}]', "isolators[0].value"),
        ('"annotations":[{"name":"a"},{"name":"a"}]', "annotations"),
        ('"annotations":[{"name":"created","value":"today"}]', "annotations"),
        ('"ports":[{"hostIP":"01.2.3.4"}]', "ports[0].hostIP"),
        ('"ports":[{"hostIP":"fe80::1%eth0"}]', "ports[0].hostIP"),
        ('"ports":[{"hostPort":-0}]', "ports[0].hostPort"),
        ('"ports":[{"hostPort":18446744073709551616}]', "ports[0].hostPort"),
        ('"ports":[{"podPort":{"port":0}}]', "ports[0].podPort.port"),
        ('"ports":[{"podPort":{"port":65535,"count":2}}]', "ports[0].podPort.count"),
        ('"userLabels":{"a":1}', "userLabels.a"),
        ('"acKind":"ImageManifest"', "acKind"),
        ('"acKind":"x"', "acKind"),
        ('"acVersion":"0.0.0"', "acVersion"),
    ],
)
def test_the_path_of_what_is_refused(text: str, path: str) -> None:
    assert refusal(pod_with(text)) == path


def test_a_document_of_another_shape_is_refused() -> None:
    for raw in (b"null", b"[]", b"{}", b'"PodManifest"', b'{"acKind":"ImageManifest"}'):
        with pytest.raises(InvalidInput):
            PodManifest.from_json(raw)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"acKind":"PodManifest"}', "acVersion"),
        (pod(apps=[{"name": "a"}]), "apps[0].image.id"),
        (pod(apps=[{"image": {"id": "sha512-1"}}]), "apps[0].name"),
        (pod(isolators=[None]), "isolators[0].name"),
        (pod(annotations=[{"value": "x"}]), "annotations[0].name"),
        (pod(ports=[None]), "ports[0].name"),
    ],
)
def test_what_can_be_read_with_fields_missing_but_not_written(raw: bytes, path: str) -> None:
    manifest = PodManifest.from_json(raw)
    with pytest.raises(FieldError) as caught:
        manifest.to_json()
    assert caught.value.path == path


def test_numbers_at_the_edges_of_their_types() -> None:
    app = read_app('"user":"0","group":"0","supplementaryGIDs":[-0,9223372036854775807,-9223372036854775808]')
    assert app.apps[0].app is not None
    assert app.apps[0].app.supplementary_gids == (0, 2**63 - 1, -(2**63))
    wrapped = pod_with('"ports":[{"podPort":{"port":1,"count":18446744073709551615}}]')
    port = PodManifest.from_json(wrapped).ports[0].pod_port
    assert port is not None
    assert port.count == 2**64 - 1


def test_made_by_hand() -> None:
    manifest = PodManifest(
        [
            RuntimeApp(
                "web",
                RuntimeImage("sha512-1", name="example.com/web", labels={"os": "linux"}),
                app=App(
                    ["/bin/web"],
                    environment={"A": "<1>"},
                    isolators=[Isolator("resource/memory", Resource(limit="1Gi"))],
                ),
                mounts=[Mount("data", "/data")],
            )
        ],
        volumes=[Volume("data", "host", source="/srv", read_only=True)],
        ports=[ExposedPort("http", 8080, host_ip="127.0.0.1")],
    )
    assert manifest.to_json() == (
        b'{"acVersion":"0.8.11","acKind":"PodManifest","apps":[{"name":"web","image":{"name":"example.com/web",'
        b'"id":"sha512-1","labels":[{"name":"os","value":"linux"}]},"app":{"exec":["/bin/web"],"user":"0",'
        b'"group":"0","environment":[{"name":"A","value":"\\u003c1\\u003e"}],"isolators":[{"name":"resource/memory",'
        b'"value":{"default":false,"request":null,"limit":"1Gi"}}]},"mounts":[{"volume":"data","path":"/data"}]}],'
        b'"volumes":[{"name":"data","kind":"host","source":"/srv","readOnly":true}],"isolators":null,'
        b'"annotations":null,"ports":[{"name":"http","hostPort":8080,"hostIP":"127.0.0.1"}]}'
    )
    assert PodManifest.from_json(manifest.to_json()) == manifest
    assert manifest.to_dict() == json.loads(manifest.to_json())
    assert manifest.apps.get("web") is manifest.apps[0]
    assert manifest.apps.get("db") is None


def test_values_do_not_change_and_compare_by_content() -> None:
    app = RuntimeApp("a", IMAGE)
    manifest = PodManifest([app])
    with pytest.raises(AttributeError):
        app.name = "b"  # type: ignore[assignment]
    with pytest.raises(TypeError):
        manifest.user_labels["a"] = "b"
    assert manifest == PodManifest([RuntimeApp("a", RuntimeImage("sha512-1"))])
    assert manifest != manifest.replace(apps=[app.replace(name="b")])
    assert hash(manifest) == hash(pickle.loads(pickle.dumps(manifest)))
    assert pickle.loads(pickle.dumps(manifest)) == manifest
    assert "RuntimeApp(name='a'" in repr(manifest)


def test_callers_mistakes_are_named() -> None:
    with pytest.raises(FieldError, match="name"):
        RuntimeApp("A", IMAGE)
    with pytest.raises(FieldError, match="apps"):
        PodManifest([RuntimeApp("a", IMAGE), RuntimeApp("a", IMAGE)])
    with pytest.raises(FieldError, match="image"):
        RuntimeApp("a", "sha512-1")  # type: ignore[arg-type]
    with pytest.raises(FieldError, match="exec"):
        App("/bin/sh")
    with pytest.raises(FieldError, match="field of its own"):
        App(extra={"USER": "x"})
    with pytest.raises(TypeError, match="nonsense"):
        PodManifest().replace(nonsense=1)


def test_the_kind_of_any_document() -> None:
    assert kind_of(pod(more=1)) == ("PodManifest", "0.8.11")
    assert kind_of(b"{}") == ("", "")

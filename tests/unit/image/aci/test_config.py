"""From an appc manifest to an OCI image's documents."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from carob.errors import CorruptData, NotFound
from carob.image.aci.archive import parse_manifest
from carob.image.aci.config import (
    APPC_IMAGE_ID,
    APPC_MANIFEST,
    appc_manifest,
    asked_paths,
    left_out,
    oci_annotations,
    oci_config,
    user_of,
)
from carob.spec.appc.image import ImageManifest
from carob.spec.discovery import oci_reference
from carob.spec.oci.config import check_config
from carob.spec.oci.descriptor import Platform
from tests.unit.image.aci.made import app, manifest

HOST = Platform("riscv64", "linux")
DIFF_ID = "sha256:" + "a" * 64


def parsed(**fields: Any) -> ImageManifest:
    return parse_manifest(json.dumps(manifest(**fields)).encode(), "x")


def config(**fields: Any) -> dict[str, Any]:
    made = parsed(**fields)
    document = oci_config(
        made, diff_ids=[DIFF_ID], history=["made"], host=HOST, user=user_of(made.app, {b"bin/x": (7, 8)})
    )
    check_config(document, "x")
    return document


def inner(**fields: Any) -> dict[str, Any]:
    found = config(app=app(**fields) if "exec" in fields else app("/bin/x", **fields))["config"]
    assert isinstance(found, dict)
    return found


def test_the_example_of_the_specification() -> None:
    """aci.md, "Image Manifest Schema", but for what OCI has no word for."""
    document = config(
        labels={"version": "1.0.0", "arch": "amd64", "os": "linux"},
        app={
            "exec": ["/usr/bin/reduce-worker", "--quiet"],
            "user": "100",
            "group": "300",
            "workingDirectory": "/opt/work",
            "environment": [{"name": "REDUCE_WORKER_DEBUG", "value": "true"}],
            "mountPoints": [{"name": "work", "path": "/var/lib/work", "readOnly": False}],
            "ports": [
                {"name": "health", "port": 4000, "protocol": "tcp", "count": 1, "socketActivated": False},
                {"name": "data", "port": 20000, "protocol": "tcp", "count": 3, "socketActivated": False},
            ],
        },
        annotations=[
            {"name": "authors", "value": "Carly Container <carly@example.com>"},
            {"name": "created", "value": "2014-10-27T19:32:27.67021798Z"},
        ],
    )
    assert document == {
        "created": "2014-10-27T19:32:27.67021798Z",
        "author": "Carly Container <carly@example.com>",
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": "100:300",
            "Entrypoint": ["/usr/bin/reduce-worker", "--quiet"],
            "WorkingDir": "/opt/work",
            "Env": ["REDUCE_WORKER_DEBUG=true"],
            "ExposedPorts": {"4000/tcp": {}, "20000/tcp": {}, "20001/tcp": {}, "20002/tcp": {}},
            "Volumes": {"/var/lib/work": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
        "history": [{"created_by": "made"}],
    }


def test_an_image_without_an_app_runs_nothing() -> None:
    assert config()["config"] == {}


def test_an_image_that_does_not_say_is_for_this_host() -> None:
    assert config(labels={})["architecture"] == "riscv64"
    document = config(labels={"os": "linux", "arch": "armv7l"})
    assert (document["architecture"], document["variant"]) == ("arm", "v7")


def test_entry_point_and_arguments_are_split_where_docker2aci_noted_them() -> None:
    noted = [
        {"name": "appc.io/docker/entrypoint", "value": '["/entry"]'},
        {"name": "appc.io/docker/cmd", "value": '["a","b"]'},
    ]
    found = config(app=app("/entry", "a", "b"), annotations=noted)["config"]
    assert (found["Entrypoint"], found["Cmd"]) == (["/entry"], ["a", "b"])
    changed = config(app=app("/other", "a", "b"), annotations=noted)["config"]
    assert changed["Entrypoint"] == ["/other", "a", "b"]
    assert "Cmd" not in changed


@pytest.mark.parametrize("value", ["", "x", "{}", "[1]", "null", "[" * 100_000])
def test_notes_that_are_no_lists_are_nothing(value: str) -> None:
    noted = [{"name": "appc.io/docker/entrypoint", "value": value}]
    assert config(app=app("/x"), annotations=noted)["config"]["Entrypoint"] == ["/x"]


def test_user_and_group_may_be_a_files_owner() -> None:
    made = parsed(app=app("/x", user="/bin/x", group="/bin/../bin/x"))
    assert asked_paths(made.app) == [b"bin/x", b"bin/x"]
    assert inner(user="/bin/x", group="/bin/../bin/x")["User"] == "7:8"
    assert inner(user="web", group="/bin/x")["User"] == "web:8"
    with pytest.raises(NotFound, match="/bin/none"):
        user_of(parsed(app=app("/x", user="/bin/none")).app, {})


def test_port_ranges_do_not_grow_without_bound() -> None:
    ports = [
        {"name": f"p{number}", "port": 1, "protocol": protocol, "count": 65535, "socketActivated": False}
        for number, protocol in enumerate(["tcp", "udp", "sctp", "tcp"] * 1000)
    ]
    assert len(inner(ports=ports)["ExposedPorts"]) <= 65536
    odd = {"name": "p", "port": 80, "protocol": "carrier-pigeon", "count": 1, "socketActivated": False}
    assert "ExposedPorts" not in inner(ports=[odd])


def test_what_oci_has_no_word_for_is_told() -> None:
    made = parsed(
        app=app(
            "/x",
            eventHandlers=[{"name": "pre-start", "exec": ["/y"]}],
            isolators=[
                {"name": "resource/cpu", "value": {"request": "1", "limit": "1"}},
                {"name": "resource/block-bandwidth", "value": {"default": True, "limit": "2M"}},
            ],
            supplementaryGIDs=[1],
            ports=[{"name": "p", "port": 1, "protocol": "tcp", "count": 1, "socketActivated": True}],
        )
    )
    assert left_out(made) == [
        "eventHandlers",
        "isolators[resource/block-bandwidth]",
        "ports.socketActivated",
    ]
    assert left_out(parsed(app=app("/x"))) == left_out(parsed()) == []


def test_the_original_manifest_is_kept_byte_by_byte() -> None:
    data = json.dumps(manifest(), indent=3).encode() + b"\n"
    annotations = oci_annotations(parse_manifest(data, "x"), data, "sha512-1")
    assert annotations[APPC_IMAGE_ID] == "sha512-1"
    document = json.dumps({"annotations": annotations}).encode()
    assert appc_manifest(document, "x") == data
    with pytest.raises(NotFound):
        appc_manifest(b'{"annotations": {}}', "x")
    with pytest.raises(CorruptData):
        appc_manifest(json.dumps({"annotations": {APPC_MANIFEST: "!"}}).encode(), "x")
    forged = base64.b64encode(b"\x1b[2Jwhatever").decode()
    with pytest.raises(CorruptData):
        appc_manifest(json.dumps({"annotations": {APPC_MANIFEST: forged}}).encode(), "x")


def test_annotations_get_their_oci_names() -> None:
    made = parsed(
        annotations=[
            {"name": "homepage", "value": "https://example.com"},
            {"name": "appc.io/executor/supports-systemd-notify", "value": "true"},
            {"name": "odd", "value": "a\0b"},
        ]
    )
    found = oci_annotations(made, b"", "sha512-1")
    assert found["org.opencontainers.image.url"] == "https://example.com"
    assert found["org.opencontainers.image.version"] == "1.0.0"
    assert found["appc.io/executor/supports-systemd-notify"] == "true"
    assert "odd" not in found


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("example.com/app", "1.0.0", "example.com/app:1.0.0"),
        ("example.com/app", "", "example.com/app:latest"),
        ("example.com/app", "1.0+git/x", "example.com/app:1.0_git_x"),
        ("example.com/app", "-1", "example.com/app:_1"),
        ("example.com/app", "v" * 200, "example.com/app:" + "v" * 128),
        ("app", "1", "app:1"),
        ("example.com/~user/app", "1", ""),
    ],
)
def test_names_are_those_of_the_store_where_it_can_have_them(name: str, version: str, expected: str) -> None:
    assert oci_reference(name, version) == expected

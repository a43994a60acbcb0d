from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import CarobError, CorruptData
from carob.spec.oci.config import chain_ids, check_config, parse_config, rootfs_config
from carob.spec.oci.descriptor import MANIFEST, Descriptor, Platform, parse_descriptor, platform_of_machine
from carob.spec.oci.document import encode_document, parse_document
from carob.spec.oci.index import parse_index
from carob.spec.oci.manifest import Manifest, parse_manifest

DIGESTS = ["sha256:" + digit * 64 for digit in "0123"]
CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": DIGESTS},
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values), st.sampled_from([None, 2]))
def test_it_reads_what_json_writes(document: dict[str, Any], indent: int | None) -> None:
    assert parse_document(json.dumps(document, indent=indent).encode(), "x") == document


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn \n\\u', max_size=40))
def test_it_takes_what_json_takes(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    try:
        found = parse_document(text.encode(), "x")
    except CorruptData:
        found = None
    assert found == (expected if isinstance(expected, dict) else None)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"a"', b"[]", b"5", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1}}', b"\xff",
     b'{"a":' * 90_000, b"[" * 90_000, b'{"a":' + b"1" * 5000 + b"}", b'{"a":"\n"}'],
)  # fmt: skip
def test_what_is_no_document(data: bytes) -> None:
    with pytest.raises(CorruptData, match=r"^the thing:") as caught:
        parse_document(data, "the thing")
    assert len(caught.value.message) < 300


def test_a_document_that_is_too_long() -> None:
    with pytest.raises(CorruptData, match="larger than 10 bytes"):
        parse_document(b'{"a": "bcdefghi"}', "x", limit=10)


def test_chain_ids_are_those_of_the_specification() -> None:
    first, second = chain_ids(DIGESTS[:2])
    assert first == DIGESTS[0]
    assert second == "sha256:" + hashlib.sha256(f"{DIGESTS[0]} {DIGESTS[1]}".encode()).hexdigest()
    assert chain_ids(DIGESTS)[:2] == (first, second)
    assert chain_ids(()) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": None}, {"os": 5}, {"rootfs": []}, {"rootfs": {"type": "tar"}},
        {"rootfs": {"diff_ids": "x"}}, {"rootfs": {"diff_ids": ["sha256:12"]}}, {"rootfs": {"diff_ids": [5]}},
        {"config": []}, {"config": {"Env": "A=B"}}, {"config": {"Env": ["=B"]}}, {"config": {"Cmd": [None]}},
        {"config": {"Entrypoint": {}}}, {"config": {"User": 0}}, {"config": {"WorkingDir": []}},
        {"config": {"Labels": {"a": 1}}}, {"config": {"Volumes": []}}, {"config": {"ExposedPorts": ["80"]}},
        {"config": {"StopSignal": 9}}, {"config": {"Cmd": ["a\0b"]}}, {"config": {"User": "\ud800"}},
        {"created": 1},
    ],
)  # fmt: skip
def test_configurations_of_wrong_types(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptData, match=r"^image:"):
        check_config({**CONFIG, **change}, "image")


def test_null_stands_for_missing_and_unknown_keys_stay() -> None:
    document = {**CONFIG, "config": {"Cmd": None, "Env": None, "Labels": None, "Own": 1}, "own": [1]}
    assert parse_config(encode_document(document), "image") == document
    check_config({**CONFIG, "config": None}, "image")


def test_the_configuration_of_a_root_file_system() -> None:
    document = rootfs_config(
        architecture="arm",
        variant="v7",
        created="2024-01-01T00:00:00Z",
        created_by="test",
        layer_diff_id=DIGESTS[0],
        command=["/bin/sh"],
        overrides={"User": "1"},
    )
    check_config(document, "x")
    assert document["config"]["Cmd"] == ["/bin/sh"]
    assert document["config"]["User"] == "1"
    assert document["variant"] == "v7"


def test_a_manifest_goes_round() -> None:
    layers = tuple(Descriptor("application/x", digest, 5, annotations={"a": "b"}) for digest in DIGESTS)
    manifest = Manifest(Descriptor("application/y", DIGESTS[0], 0), layers, {"k": "v"})
    again = parse_manifest(encode_document(manifest.document()), "x")
    assert (again.config, again.layers, again.annotations) == (manifest.config, layers, {"k": "v"})


def test_a_descriptor_goes_round() -> None:
    descriptor = Descriptor(MANIFEST, DIGESTS[0], 7, platform=Platform("arm64", "linux", "v8"))
    assert parse_descriptor(descriptor.document(), "x") == descriptor


@given(json_values)
def test_nothing_but_errors_of_carob(value: object) -> None:
    """Any value in any place of the documents: accepted, or refused with an error that names the document."""
    descriptor = {"mediaType": MANIFEST, "digest": DIGESTS[0], "size": 5}
    documents: list[tuple[Any, dict[str, Any]]] = [
        (parse_config, {**CONFIG, "config": value}),
        (parse_config, {**CONFIG, "rootfs": value}),
        (parse_manifest, {"schemaVersion": 2, "config": value, "layers": []}),
        (parse_manifest, {"schemaVersion": 2, "config": descriptor, "layers": value}),
        (parse_manifest, {"schemaVersion": value, "config": descriptor}),
        (parse_index, {"schemaVersion": 2, "manifests": value}),
        (parse_index, {"schemaVersion": 2, "manifests": [{**descriptor, "platform": value}]}),
        (parse_index, {"schemaVersion": 2, "manifests": [{**descriptor, "annotations": value}]}),
    ]
    for parse, document in documents:
        try:
            parse(encode_document(document), "the thing")
        except CarobError as error:
            assert error.message.startswith("the thing")  # noqa: PT017


@pytest.mark.parametrize(
    ("parse", "data", "said"),
    [
        (parse_index, b'{"schemaVersion": "2"}', "schemaVersion is '2', not 2"),
        (parse_config, json.dumps({**CONFIG, "config": {"Env": [None]}}).encode(), "'Env' holds null"),
        (
            parse_config,
            json.dumps({**CONFIG, "config": {"Labels": {"a": None}}}).encode(),
            "'Labels' has null at 'a'",
        ),
        (parse_index, b'{"schemaVersion": %s}' % (b"9" * 5000), "not JSON: [^;]*digits[^;]*$"),
    ],
)
def test_messages_say_what_is_wrong(parse: Any, data: bytes, said: str) -> None:
    with pytest.raises(CorruptData, match=said):
        parse(data, "the thing")


def test_machines() -> None:
    assert str(platform_of_machine("x86_64")) == "linux/amd64"
    assert str(platform_of_machine("aarch64")) == "linux/arm64"
    assert str(platform_of_machine("armv7l")) == "linux/arm/v7"
    assert str(platform_of_machine("riscv64")) == "linux/riscv64"

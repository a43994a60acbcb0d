"""Reading JSON as strictly as Go does, and writing it back without loss."""

from __future__ import annotations

import json

import pytest

from carob.spec.appc import PodManifest
from carob.spec.appc.fault import FieldError
from carob.spec.appc.plain import from_plain, to_plain
from carob.spec.appc.text import MAX_DEPTH, Members, Number, fold, read, well_formed, write
from tests.unit.spec.appc.documents import pod_with


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{} {}",
        b"{}x",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"01",
        b"+1",
        b".5",
        b"'a'",
        b'"\\x"',
        b'"a\x01b"',
        b"\xef\xbb\xbf{}",
        b'{"a":1,}',
        b"[1,]",
        b'{"a"}',
        b'"abc',
    ],
)
def test_text_that_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(FieldError):
        read(raw)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 3000, 200_000])
def test_nesting_too_deep_is_an_error_and_not_a_crash(depth: int) -> None:
    with pytest.raises(FieldError, match="nested"):
        read(b"[" * depth + b"]" * depth)
    with pytest.raises(FieldError, match="nested"):
        PodManifest.from_json(pod_with('"x":' + '{"a":' * depth + "1" + "}" * depth))


def test_nesting_within_the_bound_comes_back() -> None:
    deep = '"x":' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + ',"y":[' + "[]," * MAX_DEPTH + "[]]"
    manifest = PodManifest.from_json(pod_with(deep))
    assert manifest.to_json().endswith(deep.encode() + b"}")
    assert list(manifest.extra) == ["x", "y"]


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1.50,"b":-0,"c":1E400,"d":123456789012345678901234567890}',
        '{"a":1,"a":2}',
        '[[],{},null,true,false,""]',
        '"\\ud800"',
        '"\u00e9\U0001f600"',
        '"\\u003ca\\u003e\\u0026\\u2028\\u2029"',
        '"\\u0000\\b\\f\\n\\r\\t\\"\\\\/\u007f"',
    ],
)
def test_compact_text_comes_back_as_it_was(text: str) -> None:
    assert write(read(text.encode())) == text.encode()


def test_space_around_and_inside_is_allowed() -> None:
    assert write(read(b' \t\r\n{ "a" : [ 1 , 2 ] } \n')) == b'{"a":[1,2]}'


def test_each_byte_that_is_not_utf8_becomes_one_replacement_character() -> None:
    assert read(b'"\xe2\x80x\xff"') == "\ufffd\ufffdx\ufffd"
    assert read(b'"\xed\xa0\x80"') == "\ufffd\ufffd\ufffd"


def test_lone_surrogates_stay_in_the_tree_and_are_replaced_in_text() -> None:
    node = read(b'"\\ud800\\ud83d\\ude00"')
    assert write(node) == b'"\\ud800\xf0\x9f\x98\x80"'
    assert well_formed(node) == "\ufffd\U0001f600"


def test_keys_fold_as_in_go() -> None:
    assert fold("HOSTPort") == "hostport"
    assert fold("ho\u017ftPort") == "hostport"
    assert fold("\u212aind") == "kind"
    assert fold("k\u0131nd") != "kind"
    assert fold("K\u0130ND") != "kind"


def test_plain_values() -> None:
    node = read(b'{"a":[1,2.5,"x",null,true],"a":{"b":1e400}}')
    assert to_plain(node) == {"a": {"b": float("inf")}}
    assert to_plain(from_plain({"a": (1, 2.5), "b": {"c": None}})) == {"a": [1, 2.5], "b": {"c": None}}
    assert from_plain(True) is True
    assert from_plain([Number("1.0")]) == ("1.0",)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1: "a"}, {"a": object()}, "\ud800", {"\ud800": 1}]
)
def test_values_without_a_form_in_json_are_refused(value: object) -> None:
    with pytest.raises(FieldError):
        from_plain(value)


def test_the_path_of_a_value_without_a_form_is_named() -> None:
    with pytest.raises(FieldError) as caught:
        from_plain({"a": [1, {"b": object()}]})
    assert caught.value.path == "a[1].b"


def test_members_are_written_as_json_reads_them() -> None:
    assert json.loads(write(Members([("k", (True, None))]))) == {"k": [True, None]}

"""The lean JSON gives what json gives, for every document, and refuses what json refuses."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.protocol.compact_json import dumps, loads
from tests.architecture.sources import SRC

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_what_is_written_json_reads(document: object) -> None:
    assert json.loads(dumps(document)) == document


@given(DOCUMENTS)
def test_what_json_writes_is_read(document: object) -> None:
    assert loads(json.dumps(document)) == document
    assert loads(json.dumps(document, indent=2, ensure_ascii=False).encode()) == document


@pytest.mark.parametrize(
    "text", ["", " ", "{", "[1,]", '{"a":1} x', "01", "nul", "NaN", "Infinity", "'a'", '"\n"', "[" * 100_000]
)
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)


NO_DOCUMENTS = ("{", '{"a"', '{"a":1', "[1", '"x', "{'a':1}", '"\x01"', "[1 2]", '{"a" 1}', "nan", "]", "\\")


def test_what_is_no_document_is_refused_where_json_is_not_loaded() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from carob.protocol.compact_json import loads\n"
        "for text in sys.argv[2:]:\n"
        "    try: print('read', loads(text))\n"
        "    except ValueError: pass\n"
        "print('json' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(SRC), *NO_DOCUMENTS],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "False\n"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_has_not_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        dumps(value)


@pytest.mark.parametrize("value", [{1: 2}, b"bytes", {"a": object()}, {1, 2}])
def test_types_that_json_has_not_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        dumps(value)  # type: ignore[arg-type]


def test_order_and_form_are_kept() -> None:
    assert dumps({"b": (1, True, None), "a": {"ü": "\n"}}) == '{"b":[1,true,null],"a":{"\\u00fc":"\\n"}}'

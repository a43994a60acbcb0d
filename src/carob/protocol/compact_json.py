"""JSON for the hot paths: reading through CPython's own scanner, writing in a few lines.

``import json`` costs a supervisor 1.3 MB and a command 11 ms, nearly all of it for regular
expressions; the C scanner that does json's work is a module of its own. Documents are what RFC 8259
allows, with string keys; numbers are ints and floats. Where the C scanner is missing, ``json`` serves.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, ClassVar, TypeAlias

    Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None

    _make_scanner: Any
    _quote: Callable[[str], str]

try:
    from _json import encode_basestring_ascii as _quote
    from _json import make_scanner as _make_scanner
except ImportError:  # pragma: no cover - another Python implementation
    _make_scanner = None
    from json.encoder import encode_basestring_ascii as _quote


class _Settings:
    """What the scanner asks of its context: json's defaults."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: ClassVar[dict[str, str]] = {}

    @staticmethod
    def parse_constant(name: str) -> float:
        raise ValueError(f"{name} is not JSON")


_scan = _make_scanner(_Settings()) if _make_scanner is not None else None
quote = _quote
"""``dumps`` for a string: what it does at the end of its questions."""

_WHITE = " \t\n\r"


def loads(text: str | bytes) -> Any:
    """Reads one JSON document; raises ``ValueError`` for anything that is not one, whole."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    text = text.strip(_WHITE)
    if _scan is None:  # pragma: no cover - another Python implementation
        import json

        return json.loads(text, parse_constant=_Settings.parse_constant)
    try:
        value, end = _scan(text, 0)
    except StopIteration as stop:
        raise ValueError(f"no JSON value at character {stop.value}") from None
    except SystemError:  # what the scanner makes of its own error where json.decoder is not loaded
        raise ValueError("this is not JSON") from None
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    if end != len(text):
        raise ValueError(f"more than one JSON value: the first ends at character {end}")
    return value


def dumps(value: Json) -> str:
    """Writes a document in one line, keys in the order given; ``TypeError`` for what JSON has not."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([dumps(item) for item in value]) + "]"
    if isinstance(value, dict):
        return "{" + ",".join([_member(key, item) for key, item in value.items()]) + "}"
    raise TypeError(f"{type(value).__name__} is not JSON")


def _member(key: object, item: Json) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key of a JSON object is a string, not {type(key).__name__}")
    return f"{_quote(key)}:{dumps(item)}"


def _number(value: float) -> str:
    if value - value != 0:  # nan and both infinities
        raise ValueError(f"{value!r} is not JSON")
    return repr(value)

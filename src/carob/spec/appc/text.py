"""JSON text to a tree of nodes and back, losing nothing that a reader could tell apart.

appc documents carry values that are handed on as they are (isolators, keys nobody here knows). So
numbers keep their spelling, and objects their order and their duplicate keys.

A node is ``None``, ``bool``, ``str``, `Number`, a list or tuple of nodes, or `Members`.

The reader is as strict as Go's ``encoding/json``: one value, no ``NaN``, no control character in a
string, nothing behind the value. Bytes that are not UTF-8 become U+FFFD, one for each byte. Lone
surrogates, which JSON can spell, stay in the tree; `well_formed` turns them into U+FFFD.
"""

from __future__ import annotations

from carob.spec.appc.fault import FieldError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Node: TypeAlias = Any

# How deep arrays and objects may be nested. appc itself needs about ten levels; what is handed on must
# stay within what the interpreter's recursion limit allows wherever it is called from.
MAX_DEPTH = 200

_SPACE = " \t\n\r"
_ESCAPES = tuple((char, f"\\u{ord(char):04x}") for char in "<>&\u2028\u2029")


class Number(str):
    """A JSON number as it was spelled."""

    __slots__ = ()


class Members(tuple["tuple[str, Node]", ...]):
    """A JSON object: its (key, node) pairs in order, duplicates included."""

    __slots__ = ()


def read(raw: bytes | bytearray | memoryview) -> Node:
    """The tree of the one JSON value in ``raw``.

    Raises `FieldError` when the text is not JSON or is nested deeper than `MAX_DEPTH`.
    """
    text = decode(bytes(raw))
    node = scan(text, _scanner())
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _require_depth(node)
    return node


def _require_depth(node: Node) -> None:
    level = [node]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Node] = []
        for parent in level:
            children = [value for _, value in parent] if isinstance(parent, Members) else parent
            inner.extend(child for child in children if isinstance(child, list | Members))
        if not inner:
            return
        level = inner
    raise FieldError(f"nested deeper than {MAX_DEPTH} levels")


def decode(raw: bytes) -> str:
    """``raw`` as text; each byte that is not part of valid UTF-8 becomes one U+FFFD."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        text = raw.decode(errors="surrogateescape")
        return "".join("\ufffd" if "\udc80" <= char <= "\udcff" else char for char in text)


def scan(text: str, scanner: Callable[[str, int], tuple[Node, int]]) -> Node:
    """Run ``scanner`` over the whole of ``text``; what is left behind the value is an error."""
    start = len(text) - len(text.lstrip(_SPACE))
    try:
        node, end = scanner(text, start)
    except StopIteration as stop:
        where = stop.value if isinstance(stop.value, int) else start
        raise FieldError(f"not JSON: a value is missing at character {where}") from None
    except ValueError as error:
        raise FieldError(f"not JSON: {error}") from None
    except RecursionError:
        raise FieldError("nested too deeply") from None
    if text[end:].strip(_SPACE):
        raise FieldError(f"not JSON: something follows the value at character {end}")
    return node


class _Settings:
    """What the interpreter's JSON scanner wants to be told."""

    strict = True
    object_hook = None
    object_pairs_hook = Members
    parse_float = Number
    parse_int = Number

    @staticmethod
    def parse_constant(name: str) -> Node:
        raise ValueError(f"{name} is not a JSON value")


class _PlainSettings(_Settings):
    """Objects as dicts and numbers as Python's: quicker, and less exact."""

    object_pairs_hook = None  # type: ignore[assignment]
    parse_float = float  # type: ignore[assignment]
    parse_int = int  # type: ignore[assignment]


def _scanner() -> Callable[[str, int], tuple[Node, int]]:
    # The package `json` imports `re`, 10 ms; the scanner itself is a C module that needs nothing.
    return _make_scanner(_Settings)


def plain_scanner() -> Callable[[str, int], tuple[Node, int]]:
    """A scanner for `scan` that gives dicts, ints and floats."""
    return _make_scanner(_PlainSettings)


def _make_scanner(settings: type[_Settings]) -> Callable[[str, int], tuple[Node, int]]:
    try:
        from _json import make_scanner as make
    except ImportError:  # another interpreter than CPython
        from json import JSONDecoder

        return JSONDecoder(
            object_pairs_hook=settings.object_pairs_hook,
            parse_float=settings.parse_float,
            parse_int=settings.parse_int,
            parse_constant=settings.parse_constant,
        ).raw_decode
    return make(settings)  # type: ignore[arg-type,unused-ignore]


def write(node: Node) -> bytes:
    """The tree as compact UTF-8 JSON, escaped as Go's encoder does (``<``, ``>``, ``&``, U+2028, U+2029)."""
    try:
        from _json import encode_basestring as quote
    except ImportError:
        from json.encoder import encode_basestring as quote  # type: ignore[no-redef,unused-ignore]

    parts: list[str] = []
    try:
        _write(node, parts.append, quote)
    except RecursionError:
        raise FieldError("nested too deeply") from None
    text = "".join(parts)
    for char, escape in _ESCAPES:
        if char in text:
            text = text.replace(char, escape)
    return text.encode(errors="backslashreplace")  # a lone surrogate is spelled \udXXX, as JSON does


def _write(node: Node, emit: Callable[[str], object], quote: Callable[[str], str]) -> None:
    if node is None or node is True or node is False:
        emit("null" if node is None else "true" if node else "false")
    elif isinstance(node, Number):
        emit(node)
    elif isinstance(node, str):
        emit(quote(node))
    elif isinstance(node, Members):
        before = "{"
        for key, value in node:
            emit(before)
            emit(quote(key))
            emit(":")
            _write(value, emit, quote)
            before = ","
        emit("}" if node else "{}")
    else:
        before = "["
        for value in node:
            emit(before)
            _write(value, emit, quote)
            before = ","
        emit("]" if node else "[]")


def well_formed(text: str) -> str:
    """``text`` with every lone surrogate replaced by U+FFFD, as Go reads JSON strings."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def fold(key: str) -> str:
    """``key`` as Go compares object keys with field names: ASCII letters in lower case.

    Two letters beyond ASCII count as the ASCII letters that they are variants of: the long s and the
    Kelvin sign. Two keys that name the same field have the same fold.
    """
    return key.lower() if key.isascii() else key.replace("\u017f", "s").lower()

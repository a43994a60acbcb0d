"""Reading JSON documents that strangers wrote: bounded, typed, and with errors that name the document.

``json`` itself takes some eleven milliseconds to import, most of them for ``re``; its scanner, written in
C, takes none. So the scanner is used where it is there.
"""

from __future__ import annotations

from carob.errors import CorruptData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DOCUMENT_BYTES = 8 << 20
"""The largest manifest or configuration that is read (registries refuse more than 4 MiB)."""

INDEX_BYTES = 64 << 20
"""The largest index of a layout that is read: some two hundred thousand names."""

_WHITE_SPACE = " \t\r\n"


def parse_document(data: bytes, what: str, *, limit: int = DOCUMENT_BYTES) -> dict[str, Any]:
    """Parses ``data``, UTF-8 JSON with an object at the top; ``CorruptData`` names ``what`` it was."""
    if len(data) > limit:
        raise CorruptData(f"{what}: larger than {limit} bytes")
    try:
        value = _parse_json(data.decode().strip(_WHITE_SPACE))
    except UnicodeDecodeError as error:
        raise CorruptData(f"{what}: not UTF-8 text") from error
    except RecursionError as error:
        raise CorruptData(f"{what}: nested too deeply") from error
    except ValueError as error:
        # Of a number with too many digits Python says after a semicolon how programs may allow them.
        raise CorruptData(f"{what}: not JSON: {str(error).partition(';')[0]}") from error
    if not isinstance(value, dict):
        raise CorruptData(f"{what}: not a JSON object")
    return value


def encode_document(document: dict[str, Any]) -> bytes:
    """The bytes of a document as carob writes it: compact UTF-8 JSON, keys in the order given."""
    import json

    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def text_field(document: dict[str, Any], key: str, what: str, *, default: str | None = None) -> str:
    """The string at ``key``; ``default`` where it is missing or null, an error where there is none."""
    value = document.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise CorruptData(f"{what}: {key!r} is {_article(value)}, not a string")
    _check_text(value, key, what)
    return value


def size_field(document: dict[str, Any], key: str, what: str) -> int:
    """The integer at ``key``, from 0 to 2^63 - 1."""
    value = document.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CorruptData(f"{what}: {key!r} is {_article(value)}, not an integer")
    if not 0 <= value < 1 << 63:
        raise CorruptData(f"{what}: {key!r} is out of range")
    return value


def list_field(document: dict[str, Any], key: str, what: str) -> list[Any]:
    """The list at ``key``; empty where it is missing or null."""
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise CorruptData(f"{what}: {key!r} is {_article(value)}, not a list")
    return value


def text_list_field(document: dict[str, Any], key: str, what: str) -> list[str]:
    """The list of strings at ``key``; empty where it is missing or null."""
    values = list_field(document, key, what)
    for value in values:
        if not isinstance(value, str):
            raise CorruptData(f"{what}: {key!r} holds {_article(value, 'null')}, not only strings")
        _check_text(value, key, what)
    return values


def map_field(document: dict[str, Any], key: str, what: str) -> dict[str, Any]:
    """The object at ``key``; empty where it is missing or null."""
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CorruptData(f"{what}: {key!r} is {_article(value)}, not an object")
    return value


def text_map_field(document: dict[str, Any], key: str, what: str) -> dict[str, str]:
    """The object of strings at ``key``; empty where it is missing or null."""
    values = map_field(document, key, what)
    for name, value in values.items():
        if not isinstance(value, str):
            raise CorruptData(f"{what}: {key!r} has {_article(value, 'null')} at {name!r}, not a string")
        _check_text(name, key, what)
        _check_text(value, key, what)
    return values


def _check_text(value: str, key: str, what: str) -> None:
    """No string with a NUL or half a surrogate pair: neither gets through a system call as it is."""
    if "\0" in value:
        raise CorruptData(f"{what}: {key!r} holds a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise CorruptData(f"{what}: {key!r} holds half a surrogate pair") from error


def _article(value: object, none: str = "missing") -> str:
    match value:
        case None:
            return none
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


class _Scanning:
    """The settings the C scanner reads: those of ``json.loads``, but without NaN and the infinities."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(name: str) -> object:
        raise ValueError(f"{name} is no JSON value")


def _parse_slowly(text: str) -> Any:
    import json

    return json.loads(text, parse_constant=_Scanning.parse_constant)


def _json_parser() -> Callable[[str], Any]:
    try:
        from _json import make_scanner
    except ImportError:  # another Python than CPython
        return _parse_slowly
    scan: Callable[[str, int], tuple[Any, int]] = make_scanner(_Scanning)  # type: ignore[arg-type]

    def parse(text: str) -> Any:
        try:
            value, end = scan(text, 0)
        except (StopIteration, ValueError, SystemError):
            # The scanner takes its exception from json.decoder and fails without it: let json say it.
            return _parse_slowly(text)
        return value if end == len(text) else _parse_slowly(text)

    return parse


_parse_json = _json_parser()

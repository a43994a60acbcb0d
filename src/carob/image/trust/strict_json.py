"""JSON of which nothing is overlooked: no key twice, none unknown, no wrong type. Pure.

Policies and signed claims are read so (containers-policy.json(5), containers-signature(5)): what one reader
overlooks, another may take for what was meant.
"""

from __future__ import annotations

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any


def parse_strict(data: bytes, what: str, *, limit_bytes: int) -> dict[str, Any]:
    """The object in ``data``; ``InvalidInput`` names ``what`` it is and the key that is there twice."""
    import json

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InvalidInput(f"{what}: the key {twice!r} is there twice")
        return found

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON value")

    if len(data) > limit_bytes:
        raise InvalidInput(f"{what}: larger than {limit_bytes} bytes")
    try:
        value = json.loads(data.decode(), object_pairs_hook=object_of, parse_constant=constant)
    except RecursionError as error:
        raise InvalidInput(f"{what}: nested too deeply") from error
    except InvalidInput:
        raise
    except ValueError as error:
        raise InvalidInput(f"{what}: not JSON: {error}") from error
    return object_at(value, what)


def object_at(value: object, what: str) -> dict[str, Any]:
    """``value``, which must be an object."""
    if not isinstance(value, dict):
        raise InvalidInput(f"{what}: not an object")
    return value


def fields(
    value: object, what: str, *, required: Collection[str] = (), optional: Collection[str] = ()
) -> dict[str, Any]:
    """An object with all of the required keys, and no others but the optional ones."""
    found = object_at(value, what)
    for key in found:
        if key not in required and key not in optional:
            raise InvalidInput(f"{what}: unknown key {key!r}")
    for key in required:
        if key not in found:
            raise InvalidInput(f"{what}: the key {key!r} is missing")
    return found


def text_at(document: dict[str, Any], key: str, what: str) -> str:
    """The string at ``key``."""
    value = document.get(key)
    if not isinstance(value, str):
        raise InvalidInput(f"{what}: {key!r} is not a string")
    return value


def texts_at(document: dict[str, Any], key: str, what: str) -> list[str]:
    """The strings at ``key``, at least one."""
    value = document.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise InvalidInput(f"{what}: {key!r} is not a list of strings")
    return value

"""Nodes of `carob.spec.appc.text` to ordinary Python values and back."""

from __future__ import annotations

from carob.spec.appc.fault import FieldError, located
from carob.spec.appc.text import Members, Number, well_formed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.spec.appc.text import Node


def to_plain(node: Node) -> object:
    """``node`` as dict, list, str, int, float, bool or None; of duplicate keys the last one counts."""
    if isinstance(node, Number):
        return _number(node)
    if isinstance(node, str):
        return well_formed(node)
    if isinstance(node, Members):
        return {well_formed(key): to_plain(value) for key, value in node}
    if isinstance(node, list | tuple):
        return [to_plain(value) for value in node]
    return node


def _number(text: Number) -> int | float:
    if text.lstrip("-").isdigit():
        try:
            return int(text)
        except ValueError:  # more digits than the interpreter converts
            return float(text)
    return float(text)


def from_plain(value: object) -> Node:
    """``value`` as a node.

    Takes mappings with string keys, lists, tuples, strings, integers, finite floats, booleans and None.
    Raises `FieldError` for anything else.
    """
    if value is None or isinstance(value, bool | Number):
        return value
    if isinstance(value, str):
        return checked_text(value)
    if isinstance(value, int):
        return Number(int.__repr__(value))
    if isinstance(value, float):
        if not float("-inf") < value < float("inf"):
            raise FieldError(f"{value} has no form in JSON")
        return Number(float.__repr__(value))
    if isinstance(value, Members):
        return Members((key, frozen(node)) for key, node in value)
    if isinstance(value, list | tuple):
        return tuple(_at(f"[{index}]", item) for index, item in enumerate(value))
    if hasattr(value, "items"):
        return Members((_key(key), _at(str(key), item)) for key, item in value.items())
    raise FieldError(f"a {type(value).__name__} has no form in JSON")


def _at(step: str, value: object) -> Node:
    try:
        return from_plain(value)
    except FieldError as error:
        raise located(error, step) from None


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise FieldError(f"keys must be strings, not {key!r}")
    return checked_text(key)


def checked_text(text: str) -> str:
    """``text`` as a plain ``str``; raises `FieldError` when it cannot be written as UTF-8."""
    text = str.__str__(text)
    if not text.isascii() and well_formed(text) != text:
        raise FieldError(f"{text!r} cannot be written as UTF-8")
    return text


def frozen(node: Node) -> Node:
    """``node`` with every list in it replaced by a tuple: a value that does not change."""
    if isinstance(node, Members):
        return Members((key, frozen(value)) for key, value in node)
    if isinstance(node, list | tuple):
        return tuple(frozen(value) for value in node)
    return node

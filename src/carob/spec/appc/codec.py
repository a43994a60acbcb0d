"""How each JSON type of an appc document is read, checked and written: the scalars.

A codec does four things for the fields of one type:

- `decode(state, node)` reads a node over what an earlier duplicate of the same key left (``zero`` at
  first) and gives the new state. It follows Go's ``encoding/json``: ``null`` leaves a scalar as it
  is, a wrong type or a number out of range is an error.
- `freeze(state)` gives the value for the state, once the whole object is read.
- `coerce(value)` takes a caller's value, or raises `FieldError`.
- `encode(value)` gives the node for a value; `is_empty(value)` says whether ``omitempty`` leaves it out.
"""

from __future__ import annotations

from carob.spec.appc.fault import FieldError, wrong_type
from carob.spec.appc.plain import checked_text, from_plain, frozen
from carob.spec.appc.text import Number, well_formed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.spec.appc.names import Text
    from carob.spec.appc.text import Node

INT64 = range(-(2**63), 2**63)
UINT64 = range(2**64)
_LONGEST_INTEGER = len(str(2**64))


class Codec:
    """The base of all codecs: a value that is its own state and its own node."""

    zero: Any = None

    def decode(self, state: Any, node: Node) -> Any:
        raise NotImplementedError

    def freeze(self, state: Any) -> Any:
        return state

    def coerce(self, value: Any) -> Any:
        raise NotImplementedError

    def encode(self, value: Any) -> Node:
        return value

    def is_empty(self, value: Any) -> bool:
        return not value


class String(Codec):
    """A string without rules."""

    zero = ""

    def decode(self, state: Any, node: Node) -> Any:
        if node is None:
            return state
        return string_of(node)

    def coerce(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise wrong_type("a string", value)
        return checked_text(value)


def string_of(node: Node) -> str:
    """The text of a JSON string node, well formed; raises `FieldError` for other nodes."""
    if type(node) is not str:
        raise wrong_type("a string", node)
    return well_formed(node)


class TextOf(Codec):
    """A string of one of the types of `carob.spec.appc.names`.

    ``null`` reads as the empty string, which none of them allows: that is what Go's types do.
    """

    def __init__(self, text_type: type[Text]) -> None:
        self.text_type = text_type
        self.zero = text_type.unset()

    def decode(self, state: Any, node: Node) -> Any:
        return self.text_type("" if node is None else string_of(node))

    def coerce(self, value: Any) -> Any:
        return self.text_type(value)

    def encode(self, value: Any) -> Node:
        if not value:
            raise FieldError("must be set")
        return str.__str__(value)


class Bool(Codec):
    """A boolean."""

    zero = False

    def decode(self, state: Any, node: Node) -> Any:
        if node is None:
            return state
        return self.coerce(node)

    def coerce(self, value: Any) -> Any:
        if not isinstance(value, bool):
            raise wrong_type("a boolean", value)
        return value


class Integer(Codec):
    """An integer of a 64-bit type of Go; what it must be spelled as depends on the sign it may have."""

    zero = 0

    def __init__(self, bounds: range = INT64) -> None:
        self.bounds = bounds

    def decode(self, state: Any, node: Node) -> Any:
        if node is None:
            return state
        if type(node) is not Number:
            raise wrong_type("an integer", node)
        signed = node.startswith("-")
        digits = node[1:] if signed else node
        if not digits.isdigit() or len(digits) > _LONGEST_INTEGER or (signed and not self.bounds.start):
            raise wrong_type("an integer", node)
        return self.coerce(int(node))

    def coerce(self, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong_type("an integer", value)
        if value not in self.bounds:
            raise FieldError(f"{value} is not within {self.bounds.start} to {self.bounds.stop - 1}")
        return int(value)

    def encode(self, value: Any) -> Node:
        return Number(value)


class Raw(Codec):
    """Any JSON value, handed on as it is."""

    def decode(self, state: Any, node: Node) -> Any:
        return frozen(node)

    def coerce(self, value: Any) -> Any:
        return from_plain(value)


class Address(Codec):
    """An IPv4 or IPv6 address, kept as text in the canonical form that Go writes; ``None`` when unset."""

    def decode(self, state: Any, node: Node) -> Any:
        if node is None:
            return None
        return self.coerce(string_of(node)) if node != "" else None

    def coerce(self, value: Any) -> Any:
        if value is None:
            return None
        text = str(value)
        if ":" not in text and "%" not in text:
            octets = text.split(".")
            if len(octets) == 4 and all(map(_is_octet, octets)):
                return text
            raise FieldError(f"{text!r} is not an IP address")
        return _ipv6(text)


def _is_octet(text: str) -> bool:
    return (
        text.isascii()
        and text.isdigit()
        and len(text) <= 3
        and int(text) <= 255
        and (len(text) == 1 or text[0] != "0")
    )


def _ipv6(text: str) -> str:
    from ipaddress import IPv6Address

    if "%" in text:
        raise FieldError(f"{text!r} is not an IP address: a zone is not allowed")
    try:
        address = IPv6Address(text)
    except ValueError:
        raise FieldError(f"{text!r} is not an IP address") from None
    mapped = address.ipv4_mapped
    return str(address if mapped is None else mapped)


STRING = String()
BOOL = Bool()
INT = Integer(INT64)
UINT = Integer(UINT64)
RAW = Raw()
ADDRESS = Address()

"""How objects, arrays, maps and optional values are read, checked and written.

Go reads a duplicate key over what the first one left behind: objects gain keys, arrays are
overwritten item by item (also behind a shorter array that came in between), maps gain entries.
Types that read themselves start afresh. Documents with duplicate keys are read the same way here,
so the state of an array while reading is every item it ever had, and how many of them count.
"""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.spec.appc.array import Array, StringMap
from carob.spec.appc.codec import Codec, string_of
from carob.spec.appc.fault import FieldError, located, wrong_type
from carob.spec.appc.plain import checked_text, frozen
from carob.spec.appc.text import Members, fold, well_formed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.spec.appc.record import Field, Record
    from carob.spec.appc.text import Node

_EXTRA = ""  # the key of the unknown members in a state; no attribute has this name


class Optional(Codec):
    """A value that may be ``null``, which is ``None``."""

    def __init__(self, inner: Codec) -> None:
        self.inner = inner

    def decode(self, state: Any, node: Node) -> Any:
        if node is None:
            return None
        return (self.inner.decode(self.inner.zero if state is None else state[0], node),)

    def freeze(self, state: Any) -> Any:
        return None if state is None else self.inner.freeze(state[0])

    def coerce(self, value: Any) -> Any:
        return None if value is None else self.inner.coerce(value)

    def encode(self, value: Any) -> Node:
        return None if value is None else self.inner.encode(value)

    def is_empty(self, value: Any) -> bool:
        return value is None


class ObjectOf(Codec):
    """An object whose rules Go does not check when it reads or writes it."""

    def __init__(self, record_type: type[Record]) -> None:
        self.record_type = record_type
        self.by_fold: dict[str, Field] = {field.key.lower(): field for field in record_type.FIELDS}

    def decode(self, state: Any, node: Node) -> Any:
        if node is None:
            return state
        if type(node) is not Members:
            raise wrong_type("an object", node)
        state = state or {}
        by_fold = self.by_fold
        for key, value in node:
            field = by_fold.get(fold(key))
            if field is None:
                state.setdefault(_EXTRA, {})[well_formed(key)] = value
                continue
            codec = field.codec
            try:
                state[field.attr] = codec.decode(state.get(field.attr, codec.zero), value)
            except InvalidInput as error:
                raise located(error, field.key) from None
        return state

    def freeze(self, state: Any) -> Any:
        extra = state.get(_EXTRA) if state else None
        members = frozen(Members(extra.items())) if extra else Members()
        return self.record_type._frozen(state, members)

    def coerce(self, value: Any) -> Any:
        if not isinstance(value, self.record_type):
            raise FieldError(f"must be of type {self.record_type.__name__}, not {type(value).__name__}")
        return value

    def encode(self, value: Any) -> Node:
        return value.members()

    def is_empty(self, value: Any) -> bool:
        return False


class MergedObjectOf(ObjectOf):
    """An object that Go reads over an earlier duplicate, and whose rules it checks each time."""

    def decode(self, state: Any, node: Node) -> Any:
        state = super().decode(state, node)
        self.freeze(state).check()
        return state

    def encode(self, value: Any) -> Node:
        value.check()
        return super().encode(value)


class CheckedObjectOf(ObjectOf):
    """An object that Go reads afresh each time, and whose rules it checks."""

    def __init__(self, record_type: type[Record]) -> None:
        super().__init__(record_type)
        self.zero = record_type._frozen(None, Members())

    def decode(self, state: Any, node: Node) -> Any:
        record = super().freeze(super().decode(None, node))
        record.check()
        return record

    def freeze(self, state: Any) -> Any:
        return state

    def encode(self, value: Any) -> Node:
        value.check()
        return super().encode(value)


class ArrayOf(Codec):
    """An array of items of one kind."""

    def __init__(self, item: Codec, array_type: type[Array[Any]] = Array) -> None:
        self.item = item
        self.array_type = array_type

    def decode(self, state: Any, node: Node) -> Any:
        if node is None:
            return None
        if type(node) is not list:
            raise wrong_type("an array", node)
        items = state[0] if state and node else []
        for index, value in enumerate(node):
            old = items[index] if index < len(items) else self.item.zero
            try:
                new = self.item.decode(old, value)
            except InvalidInput as error:
                raise located(error, f"[{index}]") from None
            items[index : index + 1] = (new,)
        return items, len(node)

    def freeze(self, state: Any) -> Any:
        if state is None:
            return self.array_type.null()
        items, count = state
        return self.array_type(map(self.item.freeze, items[:count]))

    def coerce(self, value: Any) -> Any:
        if value is None or (isinstance(value, Array) and value.is_null):
            return self.array_type.null()
        items = []
        for index, item in enumerate(self.array_type.items_from(value)):
            try:
                items.append(self.item.coerce(item))
            except InvalidInput as error:
                raise located(error, f"[{index}]") from None
        array = self.array_type(items)
        array.check()
        return array

    def encode(self, value: Any) -> Node:
        if value.is_null:
            return None
        nodes = []
        for index, item in enumerate(value):
            try:
                nodes.append(self.item.encode(item))
            except FieldError as error:
                raise located(error, f"[{index}]") from None
        return nodes


class CheckedArrayOf(ArrayOf):
    """An array that Go reads afresh each time, and whose rules it checks."""

    def __init__(self, item: Codec, array_type: type[Array[Any]]) -> None:
        super().__init__(item, array_type)
        self.zero = array_type.null()

    def decode(self, state: Any, node: Node) -> Any:
        array = super().freeze(super().decode(None, node))
        array.check()
        return array

    def freeze(self, state: Any) -> Any:
        return state

    def encode(self, value: Any) -> Node:
        value.check()
        return super().encode(value)


class StringMapOf(Codec):
    """An object with string values, written with its keys in order; ``null`` values read as ``""``."""

    zero = StringMap()

    def decode(self, state: Any, node: Node) -> Any:
        if node is None:
            return StringMap()
        if type(node) is not Members:
            raise wrong_type("an object", node)
        entries = dict(state)
        for key, value in node:
            try:
                entries[well_formed(key)] = "" if value is None else string_of(value)
            except FieldError as error:
                raise located(error, well_formed(key)) from None
        return StringMap(entries)

    def coerce(self, value: Any) -> Any:
        if value is None:
            return StringMap()
        if not hasattr(value, "items"):
            raise wrong_type("a mapping of strings", value)
        entries = {}
        for key, text in value.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise FieldError(f"keys and values must be strings, not {key!r}: {text!r}")
            entries[checked_text(key)] = checked_text(text)
        return StringMap(entries)

    def encode(self, value: Any) -> Node:
        return Members(sorted(value.items()))


STRING_MAP = StringMapOf()

"""Objects of an appc document as slotted values that do not change."""

from __future__ import annotations

from carob.spec.appc.fault import FieldError, located
from carob.spec.appc.plain import from_plain, to_plain
from carob.spec.appc.text import Members, fold, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar, NoReturn, TypeVar

    from carob.spec.appc.codec import Codec
    from carob.spec.appc.text import Node

    Self = TypeVar("Self", bound="Record")


class Field:
    """One field: the attribute's name, the key in the document, its codec, and ``omitempty``."""

    __slots__ = ("attr", "codec", "key", "omit_empty")

    def __init__(self, attr: str, key: str, codec: Codec, *, omit_empty: bool = False) -> None:
        self.attr = attr
        self.key = key
        self.codec = codec
        self.omit_empty = omit_empty


class Record:
    """An object of the document: declared fields in Go's order, and the keys that nobody declared.

    Values compare by their fields and by ``extra``. They do not change: `replace` makes another one.
    """

    __slots__ = ("_extra",)
    FIELDS: ClassVar[tuple[Field, ...]] = ()
    _extra: Members

    def _fill(self, extra: Mapping[str, object] | None, **values: object) -> None:
        """Set every field to the caller's value, checked. Raises `FieldError`."""
        for field in self.FIELDS:
            self._put(field, values[field.attr])
        object.__setattr__(self, "_extra", self._checked_extra(extra))
        self._complete()
        self.check()

    def _put(self, field: Field, value: object) -> None:
        try:
            object.__setattr__(self, field.attr, field.codec.coerce(value))
        except FieldError as error:
            raise located(error, field.key) from None

    def _checked_extra(self, extra: Mapping[str, object] | None) -> Members:
        if not extra:
            return Members()
        declared = {field.key.lower() for field in self.FIELDS}
        members: Members = from_plain(extra)
        for key, _ in members:
            if fold(key) in declared:
                raise FieldError(f"{key!r} is a field of its own, it cannot be extra")
        return members

    @classmethod
    def _frozen(cls: type[Self], state: Mapping[str, Any] | None, extra: Members) -> Self:
        """The value for a state that the codecs decoded; absent fields are zero."""
        record = object.__new__(cls)
        put = object.__setattr__
        for field in cls.FIELDS:
            codec = field.codec
            found = state.get(field.attr, codec.zero) if state else codec.zero
            put(record, field.attr, codec.freeze(found))
        put(record, "_extra", extra)
        record._complete()
        return record

    def _complete(self) -> None:
        """Set the defaults and the derived attributes that follow from the fields."""

    def check(self) -> None:
        """Raise `FieldError` when the fields may not stand together as they are."""

    @property
    def extra(self) -> dict[str, object]:
        """The members of the object that the schema does not know, as plain values: a fresh dict."""
        plain = to_plain(self._extra)
        assert isinstance(plain, dict)
        return plain

    def replace(self: Self, **changes: object) -> Self:
        """A copy with these attributes changed; ``extra=`` replaces the unknown members.

        Raises `FieldError` when the new value is not valid, ``TypeError`` for an unknown attribute.
        """
        copy = object.__new__(type(self))
        for field in self.FIELDS:
            if field.attr in changes:
                copy._put(field, changes.pop(field.attr))
            else:
                object.__setattr__(copy, field.attr, getattr(self, field.attr))
        extra: Any = changes.pop("extra", None)
        members = self._extra if extra is None else copy._checked_extra(extra)
        object.__setattr__(copy, "_extra", members)
        if changes:
            raise TypeError(f"{type(self).__name__} has no attribute {', '.join(sorted(changes))}")
        copy._complete()
        copy.check()
        return copy

    def members(self) -> Members:
        """The object for the document. Raises `FieldError` when a value cannot be written."""
        pairs: list[tuple[str, Node]] = []
        for field in self.FIELDS:
            value = getattr(self, field.attr)
            if field.omit_empty and field.codec.is_empty(value):
                continue
            try:
                pairs.append((field.key, field.codec.encode(value)))
            except FieldError as error:
                raise located(error, field.key) from None
        pairs.extend(self._extra)
        return Members(pairs)

    def to_dict(self) -> dict[str, object]:
        """The object as plain dicts, lists, strings and numbers. Raises `FieldError` as `to_json` does."""
        plain = to_plain(self.members())
        assert isinstance(plain, dict)
        return plain

    def to_json(self) -> bytes:
        """The object as compact JSON, keys in Go's order. Raises `FieldError` if it cannot be written."""
        return write(self.members())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} does not change; use replace({name}=...)")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} does not change")

    def _key(self) -> tuple[object, ...]:
        return (*(getattr(self, field.attr) for field in self.FIELDS), self._extra)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self._key()))

    def __repr__(self) -> str:
        shown = [f"{field.attr}={getattr(self, field.attr)!r}" for field in self.FIELDS]
        if self._extra:
            shown.append(f"extra={self.extra!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self._key())


def _rebuild(cls: type[Record], key: tuple[object, ...]) -> Record:
    record = object.__new__(cls)
    for field, value in zip(cls.FIELDS, key, strict=False):
        object.__setattr__(record, field.attr, value)
    object.__setattr__(record, "_extra", key[-1])
    record._complete()
    return record

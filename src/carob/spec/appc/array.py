"""Sequences and string maps as values that do not change."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn, TypeVar

    T = TypeVar("T")
    Self = TypeVar("Self", bound="Array")  # type: ignore[type-arg]
else:
    T = object


class Array(tuple[T, ...]):
    """A JSON array as a tuple.

    An absent or ``null`` array is empty too, and equal to an empty one, but is written as ``null``:
    ``is_null`` tells them apart.
    """

    is_null = False

    @classmethod
    def null(cls: type[Self]) -> Self:
        """The array that is written as ``null``."""
        array = cls()
        array.__dict__["is_null"] = True
        return array

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} does not change")

    def check(self) -> None:
        """Raise `FieldError` when the items may not stand together."""

    @classmethod
    def item_from(cls, item: object) -> object:
        """``item`` as callers may give it, as an item of this array."""
        return item

    @classmethod
    def items_from(cls, value: object) -> Iterable[object]:
        """The items in ``value`` as callers may give it."""
        if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
            from carob.spec.appc.fault import FieldError

            raise FieldError(f"must be a sequence, not a {type(value).__name__}")
        return map(cls.item_from, value)


class StringMap(dict[str, str]):
    """String keys with string values: ``userAnnotations``, ``userLabels``, sysctls. It does not change."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("StringMap does not change; make a new one: StringMap(old | {...})")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __reduce__(self) -> tuple[object, ...]:
        return StringMap, (dict(self),)

"""Name and value pairs: labels, annotations, the environment."""

from __future__ import annotations

from carob.spec.appc.array import Array
from carob.spec.appc.codec import STRING, TextOf
from carob.spec.appc.compound import CheckedArrayOf, ObjectOf
from carob.spec.appc.fault import FieldError
from carob.spec.appc.names import ACIdentifier
from carob.spec.appc.record import Field, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TypeVar

    Self = TypeVar("Self", bound="NamedValues[Any]")
    P = TypeVar("P")
else:
    P = object

# What appc calls the operating systems and architectures that it knows ("os" and "arch" labels).
OS_ARCHITECTURES: Mapping[str, tuple[str, ...]] = {
    "linux": (
        "amd64",
        "i386",
        "aarch64",
        "aarch64_be",
        "armv6l",
        "armv7l",
        "armv7b",
        "ppc64",
        "ppc64le",
        "s390x",
    ),
    "freebsd": ("amd64", "i386", "arm"),
    "darwin": ("x86_64", "i386"),
}

_ENV_START = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_ENV_CHARS = _ENV_START | frozenset("0123456789.-")


class _Pair(Record):
    __slots__ = ("name", "value")
    name: str
    value: str

    def __init__(self, name: str, value: str, *, extra: Mapping[str, object] | None = None) -> None:
        self._fill(extra, name=name, value=value)


class Label(_Pair):
    """What an image is labelled with: ``name`` (an `ACIdentifier`) and ``value``."""

    __slots__ = ()
    FIELDS = (Field("name", "name", TextOf(ACIdentifier)), Field("value", "value", STRING))


class Annotation(_Pair):
    """Metadata: ``name`` (an `ACIdentifier`) and ``value``."""

    __slots__ = ()
    FIELDS = (Field("name", "name", TextOf(ACIdentifier)), Field("value", "value", STRING))


class EnvironmentVariable(_Pair):
    """A variable of an app's environment; names match ``[A-Za-z_][A-Za-z_0-9.-]*``."""

    __slots__ = ()
    FIELDS = (Field("name", "name", STRING), Field("value", "value", STRING))

    def check(self) -> None:
        if not self.name:
            raise FieldError("must not be empty", path="name")
        if self.name[0] not in _ENV_START or not _ENV_CHARS.issuperset(self.name):
            raise FieldError(f"{self.name!r} is not the name of an environment variable", path="name")


class NamedValues(Array[P]):
    """Pairs whose names are unique. Callers may give a mapping of strings instead."""

    PAIR: type[_Pair]
    WHAT = "pair"

    @classmethod
    def items_from(cls, value: object) -> Iterable[object]:
        if hasattr(value, "items"):
            return [cls.PAIR(name, text) for name, text in value.items()]
        return super().items_from(value)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of the pair with this name, or ``default``."""
        for pair in self:
            if pair.name == name:  # type: ignore[attr-defined]
                return pair.value  # type: ignore[attr-defined,no-any-return]
        return default

    def to_map(self) -> dict[str, str]:
        """The pairs as a fresh dict."""
        return {pair.name: pair.value for pair in self}  # type: ignore[attr-defined]

    def with_value(self: Self, name: str, value: str) -> Self:
        """These pairs with one of them set: in its place if the name is there, else at the end.

        Raises `FieldError` when the result is not valid.
        """
        pair = self.PAIR(name, value)
        pairs = [pair if old.name == name else old for old in self]
        if name not in self.to_map():
            pairs.append(pair)
        changed = type(self)(pairs)
        changed.check()
        return changed

    def without(self: Self, name: str) -> Self:
        """These pairs without the one of this name."""
        return type(self)(pair for pair in self if pair.name != name)

    def check(self) -> None:
        seen = set()
        for pair in self:
            name = pair.name  # type: ignore[attr-defined]
            if name in seen:
                raise FieldError(f"duplicate {self.WHAT} {name!r}")
            seen.add(name)


class Labels(NamedValues[Label]):
    """The labels of an image; ``os`` and ``arch`` must be ones that appc knows."""

    PAIR = Label
    WHAT = "label"

    def check(self) -> None:
        super().check()
        labels = self.to_map()
        if "name" in labels:
            raise FieldError("a label must not be named 'name'")
        os = labels.get("os")
        if os is None:
            return
        if os not in OS_ARCHITECTURES:
            raise FieldError(f"bad os {os!r}", hint=f"one of {', '.join(sorted(OS_ARCHITECTURES))}")
        arch = labels.get("arch")
        if arch is not None and arch not in OS_ARCHITECTURES[os]:
            raise FieldError(f"bad arch {arch!r} for {os}", hint=f"one of {', '.join(OS_ARCHITECTURES[os])}")


class Annotations(NamedValues[Annotation]):
    """The annotations of an image, app or pod.

    ``created`` must be a `carob.spec.appc.date.Date`, ``homepage`` and ``documentation`` must be a
    `carob.spec.appc.url.URL`.
    """

    PAIR = Annotation
    WHAT = "annotation"

    def check(self) -> None:
        super().check()
        for pair in self:
            if pair.name == "created":
                from carob.spec.appc.date import Date

                Date(pair.value)
            elif pair.name in ("homepage", "documentation"):
                from carob.spec.appc.url import URL

                URL(pair.value)


class Environment(NamedValues[EnvironmentVariable]):
    """The environment of an app."""

    PAIR = EnvironmentVariable
    WHAT = "environment variable"

    def check(self) -> None:
        for index, variable in enumerate(self):
            try:
                variable.check()
            except FieldError as error:
                raise FieldError(error.reason, path=f"[{index}].name") from None
        super().check()


LABELS = CheckedArrayOf(ObjectOf(Label), Labels)
ANNOTATIONS = CheckedArrayOf(ObjectOf(Annotation), Annotations)
ENVIRONMENT = CheckedArrayOf(ObjectOf(EnvironmentVariable), Environment)

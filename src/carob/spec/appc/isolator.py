"""Isolators: what an app or pod is limited to, by name and value."""

from __future__ import annotations

from carob.spec.appc.array import Array
from carob.spec.appc.codec import RAW, TextOf
from carob.spec.appc.compound import ArrayOf, CheckedObjectOf, Optional
from carob.spec.appc.fault import FieldError, located
from carob.spec.appc.names import ACIdentifier
from carob.spec.appc.plain import to_plain
from carob.spec.appc.record import Field, Record
from carob.spec.appc.text import Members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from carob.spec.appc.array import StringMap
    from carob.spec.appc.codec import Codec
    from carob.spec.appc.isolator_values import CapabilitySet, Resource, SeccompSet, SELinuxContext
    from carob.spec.appc.text import Node

    IsolatorValue = Resource | CapabilitySet | SeccompSet | SELinuxContext | StringMap | bool | int


class Isolator(Record):
    """One isolator.

    ``Isolator("resource/memory", Resource(limit="1Gi"))``; the value may also be given as plain JSON
    data. ``value`` is the typed value when the name is one that appc defines, else ``None``; ``plain``
    is the value as it stands in the document, which is what is written.
    """

    __slots__ = ("name", "raw", "value")
    FIELDS = (Field("name", "name", TextOf(ACIdentifier)), Field("raw", "value", Optional(RAW)))
    name: ACIdentifier
    raw: Node
    value: IsolatorValue | None

    def __init__(
        self,
        name: str,
        value: IsolatorValue | Mapping[str, object] | Iterable[object] | str | float | None,
        *,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        try:
            raw = _node_of(name, value)
        except FieldError as error:
            raise located(error, "value") from None
        self._fill(extra, name=name, raw=raw)

    def _complete(self) -> None:
        codec = _codec(self.name)
        value = None
        if codec is not None:
            if self.raw is None:
                raise FieldError(f"must be set for {self.name}", path="value")
            try:
                value = codec.freeze(codec.decode(codec.zero, _readable(self.raw)))
            except FieldError as error:
                raise located(error, "value") from None
        object.__setattr__(self, "value", value)

    def replace(self, **changes: object) -> Isolator:
        """As `Record.replace`; ``value=`` takes what the constructor takes."""
        if "value" in changes:
            changes["raw"] = _node_of(str(changes.get("name", self.name)), changes.pop("value"))
        return super().replace(**changes)

    @property
    def is_known(self) -> bool:
        """Whether appc defines an isolator of this name."""
        return _codec(self.name) is not None

    @property
    def plain(self) -> object:
        """The value as plain dicts, lists, strings and numbers."""
        return to_plain(self.raw)


def _codec(name: str) -> Codec | None:
    if not name:
        return None
    from carob.spec.appc.isolator_values import VALUE_CODECS

    return VALUE_CODECS.get(name)


def _node_of(name: str, value: Any) -> Node:
    codec = _codec(name)
    if isinstance(value, Record) and codec is not None:
        return codec.encode(codec.coerce(value))
    return value.members() if isinstance(value, Record) else value


def _readable(node: Node) -> Node:
    """``node`` with its tuples as the lists that codecs read."""
    if isinstance(node, Members):
        return Members((key, _readable(value)) for key, value in node)
    if isinstance(node, tuple):
        return list(map(_readable, node))
    return node


class Isolators(Array[Isolator]):
    """The isolators of an app: known ones only, some of them once only, seccomp sets not mixed."""

    def get(self, name: str) -> Isolator | None:
        """The last isolator of this name."""
        for isolator in reversed(self):
            if isolator.name == name:
                return isolator
        return None

    def replacing(self, new: Isolator, names: Iterable[str] = ()) -> Isolators:
        """These without the ones of ``new``'s name and of ``names``, and with ``new`` at the end."""
        gone = {new.name, *names}
        return Isolators((*(isolator for isolator in self if isolator.name not in gone), new))

    @property
    def unrecognized(self) -> Isolators:
        """Those whose names appc does not define."""
        return Isolators(isolator for isolator in self if not isolator.is_known)

    def check_set(self) -> None:
        """Raise `FieldError` when these may not be the isolators of one app."""
        from carob.spec.appc.isolator_values import CONFLICTS, SINGLE

        seen: set[str] = set()
        for index, isolator in enumerate(self):
            name = isolator.name
            path = f"isolators[{index}]"
            if not isolator.is_known:
                raise FieldError(f"unknown isolator {name!r}", path=path)
            if name in seen and name in SINGLE:
                raise FieldError(f"{name} is there more than once", path=path)
            if CONFLICTS.get(name) in seen:
                raise FieldError(f"{name} and {CONFLICTS[name]} exclude each other", path=path)
            seen.add(name)


ISOLATOR = CheckedObjectOf(Isolator)
ISOLATORS = ArrayOf(ISOLATOR, Isolators)

"""The values of the isolators that appc defines: resources, capabilities, seccomp, SELinux, and so on.

Source: appc specification 0.8.11, "Isolators".
"""

from __future__ import annotations

from carob.spec.appc.array import Array
from carob.spec.appc.codec import BOOL, STRING, Codec, Integer
from carob.spec.appc.compound import STRING_MAP, ArrayOf, CheckedObjectOf, Optional
from carob.spec.appc.fault import FieldError, wrong_type
from carob.spec.appc.quantity import Quantity
from carob.spec.appc.record import Field, Record
from carob.spec.appc.text import Number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from carob.spec.appc.text import Node


class _QuantityCodec(Codec):
    """A quantity: a JSON string or number, read from its bare text as Go does."""

    def decode(self, state: Any, node: Node) -> Any:
        if not isinstance(node, str):
            raise wrong_type("a quantity", node)
        if type(node) is str and any(char < " " or char in '"\\' for char in node):
            raise FieldError(f"{node!r} is not a quantity")  # Go does not resolve escapes here
        return Quantity(str.__str__(node).strip())

    def coerce(self, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return Quantity(value)

    def encode(self, value: Any) -> Node:
        return str.__str__(value)


class Resource(Record):
    """How much of a resource an app asks for (``request``) and may use (``limit``)."""

    __slots__ = ("default", "limit", "request")
    FIELDS = (
        Field("default", "default", BOOL),
        Field("request", "request", Optional(_QuantityCodec())),
        Field("limit", "limit", Optional(_QuantityCodec())),
    )
    default: bool
    request: Quantity | None
    limit: Quantity | None

    def __init__(
        self,
        *,
        limit: str | int | None = None,
        request: str | int | None = None,
        default: bool = False,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(extra, default=default, request=request, limit=limit)


class CapabilitySet(Record):
    """The capabilities of ``os/linux/capabilities-retain-set`` and ``-remove-set``: at least one."""

    __slots__ = ("set",)
    FIELDS = (Field("set", "set", ArrayOf(STRING)),)
    set: Array[str]

    def __init__(self, set: Iterable[str], *, extra: Mapping[str, object] | None = None) -> None:  # noqa: A002
        self._fill(extra, set=set)

    def check(self) -> None:
        if not self.set:
            raise FieldError("must not be empty", path="set")


class SeccompSet(Record):
    """The system calls of ``os/linux/seccomp-retain-set`` and ``-remove-set``, and what the others give.

    ``errno`` is the name of an error number (``EPERM``), or ``""`` for the default action.
    """

    __slots__ = ("errno", "set")
    FIELDS = (Field("set", "set", ArrayOf(STRING)), Field("errno", "errno", STRING))
    set: Array[str]
    errno: str

    def __init__(
        self,
        set: Iterable[str],  # noqa: A002
        errno: str = "",
        *,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(extra, set=set, errno=errno)

    def check(self) -> None:
        if not self.set:
            raise FieldError("must not be empty", path="set")
        if self.errno and not (self.errno[0] == "E" and all(map(_is_upper_or_number, self.errno))):
            raise FieldError(f"{self.errno!r} is not the name of an error number", path="errno")


def _is_upper_or_number(char: str) -> bool:
    if char.isascii():
        return char.isupper() or char.isdigit()
    from unicodedata import category

    return category(char) == "Lu" or category(char)[0] == "N"


class SELinuxContext(Record):
    """The value of ``os/linux/selinux-context``: all parts are required, only ``level`` may hold ``:``."""

    __slots__ = ("level", "role", "type", "user")
    FIELDS = tuple(Field(part, part, STRING) for part in ("user", "role", "type", "level"))
    user: str
    role: str
    type: str
    level: str

    def __init__(
        self,
        user: str,
        role: str,
        type: str,  # noqa: A002
        level: str,
        *,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(extra, user=user, role=role, type=type, level=level)

    def check(self) -> None:
        for part in ("user", "role", "type"):
            value = getattr(self, part)
            if not value or ":" in value:
                raise FieldError(f"{value!r} is not part of an SELinux context", path=part)
        if not self.level:
            raise FieldError("must not be empty", path="level")


class _ResourceOf(CheckedObjectOf):
    """A resource with the rule for its name: ``default`` is fixed, and shared resources have no request."""

    def __init__(self, *, is_default: bool) -> None:
        super().__init__(Resource)
        self.is_default = is_default

    def decode(self, state: Any, node: Node) -> Any:
        return self.coerce(super().decode(state, node))

    def coerce(self, value: Any) -> Any:
        value = super().coerce(value)
        if value.default is not self.is_default:
            raise FieldError("must be true" if self.is_default else "must be false", path="default")
        if self.is_default and value.request is not None:
            raise FieldError("must be empty for this resource", path="request")
        return value


class _BoundedInteger(Integer):
    """An integer within bounds that hold also for ``encode``d values given by callers."""

    def encode(self, value: Any) -> Node:
        return Number(self.coerce(value))


_SHARED = _ResourceOf(is_default=True)
_OWN = _ResourceOf(is_default=False)
_CAPABILITIES = CheckedObjectOf(CapabilitySet)
_SECCOMP = CheckedObjectOf(SeccompSet)

# The codec for the value of each isolator that is known by name.
VALUE_CODECS: Mapping[str, Codec] = {
    "resource/block-bandwidth": _SHARED,
    "resource/block-iops": _SHARED,
    "resource/network-bandwidth": _SHARED,
    "resource/cpu": _OWN,
    "resource/memory": _OWN,
    "os/linux/capabilities-remove-set": _CAPABILITIES,
    "os/linux/capabilities-retain-set": _CAPABILITIES,
    "os/linux/seccomp-remove-set": _SECCOMP,
    "os/linux/seccomp-retain-set": _SECCOMP,
    "os/linux/selinux-context": CheckedObjectOf(SELinuxContext),
    "os/linux/no-new-privileges": BOOL,
    "os/linux/oom-score-adj": _BoundedInteger(range(-1000, 1001)),
    "os/linux/cpu-shares": _BoundedInteger(range(2, 262145)),
    "os/unix/sysctl": STRING_MAP,
}

# Isolators that may stand only once among those of an app, and those that exclude each other.
SINGLE = frozenset(
    (
        "os/linux/seccomp-remove-set",
        "os/linux/seccomp-retain-set",
        "os/linux/selinux-context",
        "os/linux/oom-score-adj",
        "os/linux/cpu-shares",
        "os/unix/sysctl",
    )
)
CONFLICTS: Mapping[str, str] = {
    "os/linux/seccomp-remove-set": "os/linux/seccomp-retain-set",
    "os/linux/seccomp-retain-set": "os/linux/seccomp-remove-set",
}

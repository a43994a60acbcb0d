"""Volumes, and where apps want and get them mounted."""

from __future__ import annotations

from carob.spec.appc.codec import BOOL, INT, STRING, TextOf
from carob.spec.appc.compound import CheckedObjectOf, ObjectOf, Optional
from carob.spec.appc.fault import FieldError, located
from carob.spec.appc.names import ACName
from carob.spec.appc.parameters import read_bool, read_int, read_parameters
from carob.spec.appc.record import Field, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    T = TypeVar("T")

_EMPTY_DEFAULTS = (("mode", "0755"), ("uid", 0), ("gid", 0))


class Volume(Record):
    """A volume of a pod.

    ``kind`` is ``"host"`` (``source`` is an absolute path on the host) or ``"empty"`` (a fresh directory
    with ``mode``, an octal string, ``uid`` and ``gid``: 0755, 0 and 0 unless given).
    """

    __slots__ = ("gid", "kind", "mode", "name", "read_only", "recursive", "source", "uid")
    FIELDS = (
        Field("name", "name", TextOf(ACName)),
        Field("kind", "kind", STRING),
        Field("source", "source", STRING, omit_empty=True),
        Field("read_only", "readOnly", Optional(BOOL), omit_empty=True),
        Field("recursive", "recursive", Optional(BOOL), omit_empty=True),
        Field("mode", "mode", Optional(STRING), omit_empty=True),
        Field("uid", "uid", Optional(INT), omit_empty=True),
        Field("gid", "gid", Optional(INT), omit_empty=True),
    )
    name: ACName
    kind: str
    source: str
    read_only: bool | None
    recursive: bool | None
    mode: str | None
    uid: int | None
    gid: int | None

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        source: str = "",
        read_only: bool | None = None,
        recursive: bool | None = None,
        mode: str | None = None,
        uid: int | None = None,
        gid: int | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(
            extra,
            name=name,
            kind=kind,
            source=source,
            read_only=read_only,
            recursive=recursive,
            mode=mode,
            uid=uid,
            gid=gid,
        )

    @classmethod
    def from_string(cls, text: str) -> Volume:
        """The volume in ``text``, such as ``database,kind=host,source=/srv/db,readOnly=true``.

        Raises `FieldError`.
        """
        found = read_parameters(text, tuple(field.key for field in cls.FIELDS))
        return cls(
            found["name"],
            found.get("kind", ""),
            source=found.get("source", ""),
            read_only=_optional(found, "readOnly", read_bool),
            recursive=_optional(found, "recursive", read_bool),
            mode=found.get("mode"),
            uid=_optional(found, "uid", read_int),
            gid=_optional(found, "gid", read_int),
        )

    def __str__(self) -> str:
        """The volume in the form that `from_string` reads; defaults are left out."""
        parts = [self.name, f"kind={self.kind}"]
        if self.source:
            parts.append(f"source={self.source}")
        for key, flag in (("readOnly", self.read_only), ("recursive", self.recursive)):
            if flag is not None:
                parts.append(f"{key}={'true' if flag else 'false'}")
        if self.kind == "empty":
            for key, default in _EMPTY_DEFAULTS:
                if getattr(self, key) != default:
                    parts.append(f"{key}={getattr(self, key)}")
        return ",".join(parts)

    def _complete(self) -> None:
        if self.kind == "empty":
            for attr, default in _EMPTY_DEFAULTS:
                if getattr(self, attr) is None:
                    object.__setattr__(self, attr, default)

    def check(self) -> None:
        if not self.name:
            raise FieldError("must be set", path="name")
        if self.kind == "empty":
            if self.source:
                raise FieldError("must not be set for an empty volume", path="source")
        elif self.kind == "host":
            if not self.source.startswith("/"):
                raise FieldError("must be an absolute path for a host volume", path="source")
            for attr, _ in _EMPTY_DEFAULTS:
                if getattr(self, attr) is not None:
                    raise FieldError("must not be set for a host volume", path=attr)
        else:
            raise FieldError(f"must be 'empty' or 'host', not {self.kind!r}", path="kind")


def _optional(found: dict[str, str], key: str, read: Callable[[str], T]) -> T | None:
    if key not in found:
        return None
    try:
        return read(found[key])
    except FieldError as error:
        raise located(error, key) from None


class MountPoint(Record):
    """Where an app wants a volume of the name ``name``: ``path`` inside the app."""

    __slots__ = ("name", "path", "read_only")
    FIELDS = (
        Field("name", "name", TextOf(ACName)),
        Field("path", "path", STRING),
        Field("read_only", "readOnly", BOOL, omit_empty=True),
    )
    name: ACName
    path: str
    read_only: bool

    def __init__(
        self, name: str, path: str, *, read_only: bool = False, extra: Mapping[str, object] | None = None
    ) -> None:
        self._fill(extra, name=name, path=path, read_only=read_only)

    @classmethod
    def from_string(cls, text: str) -> MountPoint:
        """The mount point in ``text``, such as ``database,path=/var/lib/db,readOnly=true``.

        Raises `FieldError`.
        """
        found = read_parameters(text, ("name", "path", "readOnly"))
        read_only = bool(_optional(found, "readOnly", read_bool))
        return cls(found["name"], found.get("path", ""), read_only=read_only)

    def check(self) -> None:
        if not self.path:
            raise FieldError("must be set", path="path")


class Mount(Record):
    """A volume mounted at ``path`` of an app.

    ``volume`` names a volume of the pod, unless ``app_volume`` is one of the app's own.
    """

    __slots__ = ("app_volume", "path", "volume")
    FIELDS = (
        Field("volume", "volume", TextOf(ACName)),
        Field("path", "path", STRING),
        Field("app_volume", "appVolume", Optional(CheckedObjectOf(Volume)), omit_empty=True),
    )
    volume: ACName
    path: str
    app_volume: Volume | None

    def __init__(
        self,
        volume: str,
        path: str,
        *,
        app_volume: Volume | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(extra, volume=volume, path=path, app_volume=app_volume)

    def check(self) -> None:
        if not self.path:
            raise FieldError("must be set", path="path")


VOLUME = CheckedObjectOf(Volume)
MOUNT_POINT = ObjectOf(MountPoint)
MOUNT = ObjectOf(Mount)

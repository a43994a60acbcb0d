"""``--volume`` and ``--mount``: the short form ``SOURCE:TARGET[:ro]``, and rkt's named volumes."""

from __future__ import annotations

import os

from carob.cli.options import UsageError
from carob.engine.request import Mount
from carob.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_FLAGS = {"true": True, "false": False}


class NamedVolumes:
    """The pod's volumes by name: ``NAME,kind=host,source=PATH[,readOnly=BOOL][,recursive=BOOL]``."""

    __slots__ = ("_used", "_volumes")

    def __init__(self) -> None:
        self._volumes: dict[str, dict[str, str]] = {}
        self._used: set[str] = set()

    def add(self, text: str) -> None:
        """Takes one ``--volume`` that names a volume. Raises ``UsageError``, ``Unsupported``."""
        name, _, rest = text.partition(",")
        fields = _fields("--volume", rest, ("kind", "source", "readOnly", "recursive"))
        if name in self._volumes:
            raise UsageError(f"--volume: there are two volumes named {name}")
        if fields.get("kind") != "host":
            raise Unsupported(
                f"--volume: volumes of kind {fields.get('kind')} are not supported", hint="kind=host is"
            )
        if not fields.get("source"):
            raise UsageError(f"--volume: {name} has no source", hint=f"{name},kind=host,source=PATH")
        self._volumes[name] = fields

    def mount(self, text: str) -> Mount:
        """The mount that one ``--mount`` asks for."""
        fields = _fields("--mount", text, ("volume", "target"))
        volume = self._volumes.get(fields.get("volume", ""))
        if volume is None or not fields.get("target"):
            raise UsageError(
                f"--mount: {text!r} names no volume of this pod, or no target",
                hint="--volume=NAME,kind=host,source=PATH --mount=volume=NAME,target=PATH",
            )
        self._used.add(fields["volume"])
        return Mount(
            _path(volume["source"]),
            fields["target"],
            read_only=_flag(volume.get("readOnly", "false")),
            recursive=_flag(volume.get("recursive", "true")),
        )

    def refuse_unused(self) -> None:
        """Raises ``UsageError`` for a volume that no app mounts."""
        for name in self._volumes:
            if name not in self._used:
                raise UsageError(
                    f"--volume: {name} is mounted nowhere", hint=f"--mount=volume={name},target=PATH"
                )


def named_volumes(texts: Sequence[str]) -> NamedVolumes:
    """The volumes among these that have names."""
    volumes = NamedVolumes()
    for text in texts:
        if _is_named(text):
            volumes.add(text)
    return volumes


def mounts(volume_texts: Sequence[str], mount_texts: Sequence[str], named: NamedVolumes) -> list[Mount]:
    """The mounts of one app: the short volumes, and what it mounts by name."""
    short = [_short(text) for text in volume_texts if not _is_named(text)]
    return short + [named.mount(text) for text in mount_texts]


def _is_named(text: str) -> bool:
    return ",kind=" in text and ":" not in text.partition(",")[0]


def _short(text: str) -> Mount:
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target or mode not in ("", "ro", "rw"):
        raise UsageError(f"--volume: {text!r} is no volume", hint="SOURCE:TARGET[:ro]")
    return Mount(_path(source), target, read_only=mode == "ro")


def _path(source: str) -> str:
    """``./x`` and ``../x`` are seen from the caller's directory; anything else must be absolute."""
    if source.split("/", 1)[0] in (".", ".."):
        return os.path.abspath(source)
    if not source.startswith("/"):
        raise UsageError(
            f"--volume: {source!r} is no absolute path", hint=f"./{source} for one below this directory"
        )
    return source


def _fields(option: str, text: str, known: tuple[str, ...]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in text.split(",") if text else ():
        key, equals, value = part.partition("=")
        if not equals or key not in known or key in fields:
            raise UsageError(f"{option}: cannot take {part!r}", hint=f"it knows {', '.join(known)}")
        fields[key] = value
    return fields


def _flag(text: str) -> bool:
    if text not in _FLAGS:
        raise UsageError(f"--volume: {text!r} is neither true nor false")
    return _FLAGS[text]

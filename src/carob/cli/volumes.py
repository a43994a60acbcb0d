"""``--volume``, ``--mount``, ``--tmpfs`` and ``--secret``: rkt's named volumes, and docker's forms."""

from __future__ import annotations

import os

from carob.cli.mount_fields import Fields, given, host_path
from carob.cli.options import Arguments, Option, UsageError
from carob.engine.request.mounts import EmptyVolume, File, Mount
from carob.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FOR_APPS = (
    Option(
        "--volume",
        "PATH:TARGET[:ro] mounts a path of the host, NAME:TARGET a named volume (see carob volume), TARGET "
        "alone an empty one; NAME,kind=host,source=PATH and NAME,kind=empty name one for --mount",
        "VOLUME",
        short="-v",
        many=True,
    ),
    Option(
        "--mount",
        "volume=NAME,target=PATH, or type=bind|volume|tmpfs|image|empty,source=…,target=PATH[,readonly,…]",
        "FIELDS",
        many=True,
    ),
    Option("--tmpfs", "an empty directory in memory", "TARGET[:size=SIZE,mode=MODE]", many=True),
    Option(
        "--secret",
        "a file in memory with the content of a file, or of the systemd credential NAME",
        "FILE[,target=PATH,mode=MODE,uid=N]",
        many=True,
    ),
)
_SECRETS_AT = "/run/secrets"


class NamedVolumes:
    """The pod's volumes by name: ``NAME,kind=host,source=PATH[,readOnly=BOOL][,recursive=BOOL]`` and
    ``NAME,kind=empty[,mode=MODE][,uid=N][,gid=N]``.
    """

    __slots__ = ("_used", "_volumes")

    def __init__(self) -> None:
        self._volumes: dict[str, tuple[str | EmptyVolume, dict[str, Any]]] = {}
        self._used: set[str] = set()

    def add(self, text: str) -> None:
        """Takes one ``--volume`` that names a volume. Raises ``UsageError``, ``Unsupported``."""
        name, _, rest = text.partition(",")
        if name in self._volumes:
            raise UsageError(f"--volume: there are two volumes named {name}")
        fields = Fields("--volume", rest)
        options = {"read_only": fields.flag("readOnly"), "recursive": fields.flag("recursive")}
        match kind := fields.text("kind"):
            case "host":
                source: str | EmptyVolume = fields.text("source")
                if not source:
                    raise UsageError(f"--volume: {name} has no source", hint=f"{name},kind=host,source=PATH")
                source = host_path("--volume", str(source))
            case "empty":
                source = EmptyVolume(name, **_owner(fields))
                options["recursive"] = None
            case _:
                raise Unsupported(
                    f"--volume: volumes of kind {kind} are not supported", hint="kind=host and kind=empty are"
                )
        fields.finish("kind, source, readOnly, recursive, mode, uid, gid")
        self._volumes[name] = source, given(options)

    def mount(self, text: str) -> Mount:
        """The mount that one ``--mount volume=…`` asks for."""
        fields = Fields("--mount", text)
        name, target = fields.text("volume"), fields.text("target")
        fields.finish("volume and target")
        if name not in self._volumes or not target:
            raise UsageError(
                f"--mount: {text!r} names no volume of this pod, or no target",
                hint="--volume=NAME,kind=host,source=PATH --mount=volume=NAME,target=PATH",
            )
        self._used.add(name)
        source, options = self._volumes[name]
        return Mount(source, target, **options)

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


def mounts(places: Sequence[Arguments], named: NamedVolumes) -> list[Mount]:
    """The mounts of one app, from the options that are for it; a target that is given again counts last."""
    texts = {name: [text for place in places for text in place.texts(name)] for name in _MOUNTING}
    if not any(texts.values()):
        return []
    from carob.cli import mount_grammar

    found = [mount_grammar.short(text) for text in texts["--volume"] if not _is_named(text)]
    for text in texts["--mount"]:
        is_rkts = any(part.startswith("volume=") for part in text.split(","))
        found.append(named.mount(text) if is_rkts else mount_grammar.by_type(text))
    return found + [mount_grammar.tmpfs(text) for text in texts["--tmpfs"]]


_MOUNTING = ("--volume", "--mount", "--tmpfs")


def _is_named(text: str) -> bool:
    return ",kind=" in text and ":" not in text.partition(",")[0]


def files(places: Sequence[Arguments]) -> list[File]:
    """The files of one app."""
    return [_secret(text) for place in places for text in place.texts("--secret")]


def _secret(text: str) -> File:
    source, _, rest = text.partition(",")
    fields = Fields("--secret", rest)
    given_source = fields.text("source", "src")
    if "=" in source and not given_source:
        raise UsageError(f"--secret: {text!r} begins with no file", hint="--secret=FILE,target=PATH")
    path = _credential(source) if "/" not in source else host_path("--secret", source)
    target = fields.text("target", "dst") or os.path.basename(path)
    options = _owner(fields)
    fields.finish("target, mode, uid, gid")
    return File(os.path.join(_SECRETS_AT, target), source=path, **options)


def _owner(fields: Fields) -> dict[str, Any]:
    return given({"mode": fields.mode("mode"), "uid": fields.number("uid"), "gid": fields.number("gid")})


def _credential(name: str) -> str:
    """The credential of this name that a service has (systemd.exec(5), LoadCredential)."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = os.path.join(directory, name)
    if not name or not directory or not os.path.exists(path):
        raise UsageError(f"--secret: there is no credential {name!r}", hint=f"./{name} for a file here")
    return os.path.abspath(path)

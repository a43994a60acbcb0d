"""Mounts in the words of docker and podman: ``type=…,source=…``, ``SOURCE:TARGET[:OPTIONS]``, a tmpfs."""

from __future__ import annotations

from carob.cli.mount_fields import Fields, given, host_path
from carob.cli.options import UsageError
from carob.engine.request.mounts import EmptyVolume, ImageVolume, MemoryVolume, Mount, NamedVolume
from carob.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.engine.request.mounts import Volume

_TYPES = "bind, volume, tmpfs, image or empty"
_KNOWN = (
    "type, source, target, readonly, subpath, bind-propagation, bind-recursive, volume-nocopy, tmpfs-size, "
    "tmpfs-mode, name, mode, uid, gid, idmap, rw, exec, suid, dev"
)
_SHORT = (
    "ro, rw, (r)private, (r)slave, (r)shared, bind, rbind, idmap, nocopy, "
    "and suid, dev, exec and no… of these"
)
_WITH_COLON = "a source with a : in it goes with --mount type=bind,source=…,target=…"
_RECURSIVE: dict[str, dict[str, Any]] = {
    "enabled": {"recursive": True},
    "readonly": {"recursive": True},
    "writable": {"recursive": True, "read_only_below": False},
    "disabled": {"recursive": False},
}


def by_type(text: str) -> Mount:
    """The mount that ``--mount type=…`` asks for; without ``type`` it is ``volume``, as in docker."""
    fields = Fields("--mount", text)
    target = fields.text("target", "dst", "destination")
    if not target:
        raise UsageError(f"--mount: {text!r} has no target", hint="target=PATH")
    kind = fields.text("type") or "volume"
    source, options = _sourced(kind, fields)
    options |= {"subpath": fields.text("subpath", "volume-subpath", "image-subpath")}
    writable = fields.flag("rw")
    read_only = fields.flag("readonly", "ro")
    if read_only is None and writable is not None:
        read_only = not writable
    if isinstance(source, ImageVolume):
        source = ImageVolume(source.image, writable=read_only is False)
        read_only = None
    for word, name in (("nosuid", "suid"), ("nodev", "dev"), ("noexec", "exec")):
        off, on = fields.flag(word), fields.flag(name)
        options[word] = off if on is None else not on
    fields.finish(_KNOWN)
    return Mount(source, target, read_only=bool(read_only), **given(options))


def _sourced(kind: str, fields: Fields) -> tuple[str | Volume, dict[str, Any]]:
    """What a mount of this type leads to, and its own options."""
    named = fields.text("source", "src")
    match kind:
        case "bind":
            if not named:
                raise UsageError("--mount: type=bind needs a source", hint="source=PATH")
            propagation = fields.text("bind-propagation") or None
            return host_path("--mount", named), {
                "propagation": propagation.removeprefix("r") if propagation else None,
                **_recursive(fields),
                "idmap": fields.flag("idmap"),
            }
        case "volume":
            copy = not fields.flag("volume-nocopy", "nocopy")
            return NamedVolume(named, copy=copy) if named else EmptyVolume(), {}
        case "tmpfs" | "memory":
            return MemoryVolume(
                _pod_name(fields, named),
                **given({"size_bytes": fields.size("tmpfs-size", "size"), **_owner(fields)}),
            ), {}
        case "empty":
            return EmptyVolume(_pod_name(fields, named), **given(_owner(fields))), {}
        case "image":
            if not named:
                raise UsageError("--mount: type=image needs a source", hint="source=IMAGE")
            return ImageVolume(named), {}
        case _:
            raise Unsupported(f"--mount: there is no type {kind!r}", hint=f"use {_TYPES}")


def _pod_name(fields: Fields, source: str) -> str:
    """The name that apps of a pod share a volume by."""
    return source or fields.text("name")


def _owner(fields: Fields) -> dict[str, int | None]:
    return {
        "mode": fields.mode("tmpfs-mode", "mode"),
        "uid": fields.number("uid"),
        "gid": fields.number("gid"),
    }


def _recursive(fields: Fields) -> dict[str, Any]:
    if fields.flag("bind-nonrecursive"):
        return {"recursive": False}
    word = fields.text("bind-recursive")
    if not word:
        return {}
    if word not in _RECURSIVE:
        raise UsageError(
            f"--mount: bind-recursive is {', '.join(_RECURSIVE)}, not {word!r}",
            hint="with writable, what is mounted below a read-only mount is not read-only itself",
        )
    return _RECURSIVE[word]


def short(text: str) -> Mount:
    """``SOURCE:TARGET[:OPTIONS]``: a path of the host or a named volume; ``TARGET`` alone: one of its own."""
    parts = text.split(":")
    if len(parts) == 1 and text.startswith("/"):
        return Mount(EmptyVolume(), text)
    if not 2 <= len(parts) <= 3 or not parts[0] or not parts[1]:
        raise UsageError(f"--volume: {text!r} is no volume", hint="SOURCE:TARGET[:ro]")
    source, target, *words = parts
    options, copy = _words(words[0].split(",") if words else [])
    if source[0] in "/." or "/" in source:
        return Mount(host_path("--volume", source), target, **options)
    return Mount(NamedVolume(source, copy=copy), target, **options)


def _words(words: list[str]) -> tuple[dict[str, Any], bool]:
    options: dict[str, Any] = {}
    copy = True
    for word in words:
        found: dict[str, Any]
        match word:
            case "ro" | "rw":
                found = {"read_only": word == "ro"}
            case "bind" | "rbind":
                found = {"recursive": word == "rbind"}
            case "private" | "slave" | "shared" | "rprivate" | "rslave" | "rshared":
                found = {"propagation": word.removeprefix("r")}
            case "nosuid" | "nodev" | "noexec":
                found = {word: True}
            case "suid" | "dev" | "exec":
                found = {f"no{word}": False}
            case "nocopy":
                copy, found = False, {}
            case "idmap":
                found = {"idmap": True}
            case "z" | "Z" | "U" | "O":
                raise Unsupported(f"--volume: the option {word} is not supported", hint=f"it knows {_SHORT}")
            case _:
                hint = _WITH_COLON if word.startswith("/") else f"it knows {_SHORT}"
                raise UsageError(f"--volume: there is no option {word!r}", hint=hint)
        if any(options.get(name, value) != value for name, value in found.items()):
            raise UsageError(f"--volume: {word} is the opposite of another of its options")
        options |= found
    return options, copy


def tmpfs(text: str) -> Mount:
    """``TARGET[:size=64m,mode=1777,…]``, in memory and this app's own."""
    target, _, rest = text.partition(":")
    fields = Fields("--tmpfs", rest)
    volume = MemoryVolume(**given({"size_bytes": fields.size("size"), **_owner(fields)}))
    options = {
        word: None if (on := fields.flag(word.removeprefix("no"))) is None else not on
        for word in ("nosuid", "nodev", "noexec")
    }
    for word in ("nosuid", "nodev", "noexec"):
        options[word] = fields.flag(word) if options[word] is None else options[word]
    read_only = bool(fields.flag("ro"))
    fields.flag("rw")
    fields.finish("size, mode, uid, gid, ro, and suid, dev, exec and no… of these")
    return Mount(volume, target, read_only=read_only, **given(options))

"""One registries.toml, read and checked: every error names the file and the key."""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.image.registry.configuration import EVERY_HOST, Configuration, Mirror, Pull, Rule
from carob.image.registry.endpoint import canonical, parse_location, split_repository
from carob.image.registry.urls import mask_user
from carob.spec.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TOP = ("aliases", "registry")
_REGISTRY = ("prefix", "location", "insecure", "ca", "mirrors", "blocked")
_MIRROR = ("location", "insecure", "ca", "pull")


def read(path: str) -> Configuration:
    """What one file says; nothing where it is not there. ``InvalidInput`` for anything wrong in it."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return Configuration()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    if not raw.strip():
        return Configuration()
    import tomllib  # 20 ms: only for those who have a file

    try:
        document = tomllib.loads(raw.decode())
    except ValueError as error:
        raise InvalidInput(f"{path} is not TOML: {error}") from None
    _check_keys(document, _TOP, path)
    return Configuration(_aliases(document, path), _rules(document, path))


def _aliases(document: dict[str, Any], path: str) -> dict[str, str]:
    table = document.get("aliases", {})
    if not isinstance(table, dict):
        raise InvalidInput(f"{path}: aliases is not a table", hint='write [aliases] and name = "domain/path"')
    return {_bare(name, path): _alias(name, full, path) for name, full in table.items()}


def _bare(name: str, path: str) -> str:
    try:
        reference = parse_reference(name)
        bare = reference.repository == name and not reference.digest
    except InvalidInput:
        bare = False
    try:
        split_repository(name)
        bare = False
    except InvalidInput:
        pass
    if not bare:
        raise InvalidInput(
            f"{path}: aliases: {name!r} cannot be an alias",
            hint="an alias is a name without a domain, tag or digest",
        )
    return name


def _alias(name: str, full: object, path: str) -> str:
    what = f"{path}: aliases.{name}"
    if not isinstance(full, str):
        raise InvalidInput(f"{what} is not a string")
    if not full:  # takes an earlier file's alias away
        return ""
    hint = "it is a full name without a tag or digest, such as docker.example/library/busybox"
    try:
        split_repository(full)
        whole = parse_reference(full).repository == full and "@" not in full
    except InvalidInput:
        whole = False
    if not whole:
        raise InvalidInput(f"{what}: {mask_user(full)!r} is no full name of a repository", hint=hint)
    return full


def _rules(document: dict[str, Any], path: str) -> dict[str, Rule]:
    tables = document.get("registry", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InvalidInput(f"{path}: registry is not a list of tables", hint="write [[registry]]")
    rules: dict[str, Rule] = {}
    for number, table in enumerate(tables):
        rule = _rule(table, path, f"{path}: registry[{number}]")
        if rule.prefix in rules:
            raise InvalidInput(f"{path}: registry[{number}].prefix: {rule.prefix!r} is there twice")
        rules[rule.prefix] = rule
    return rules


def _rule(table: dict[str, Any], path: str, what: str) -> Rule:
    _check_keys(table, _REGISTRY, what)
    location = _text(table, "location", what)
    prefix = _prefix(_text(table, "prefix", what) or location, what)
    if location:
        parse_location(location, f"{what}.location")
        if prefix.startswith(EVERY_HOST):
            raise InvalidInput(
                f"{what}.location: a rule for many hosts has no location", hint="give it mirrors instead"
            )
    mirrors = table.get("mirrors", [])
    if not isinstance(mirrors, list) or not all(isinstance(mirror, dict) for mirror in mirrors):
        raise InvalidInput(f"{what}.mirrors is not a list of tables", hint='write [{ location = "..." }]')
    return Rule(
        prefix=prefix,
        location=location,
        insecure=_flag(table, "insecure", what),
        ca=_file(table, "ca", what),
        mirrors=tuple(
            _mirror(mirror, prefix, f"{what}.mirrors[{number}]") for number, mirror in enumerate(mirrors)
        ),
        blocked=_flag(table, "blocked", what),
        file=path,
    )


def _prefix(prefix: str, what: str) -> str:
    if not prefix:
        raise InvalidInput(f"{what} has no prefix", hint="it is host[:port][/path], or *")
    if prefix == EVERY_HOST:
        return prefix
    host, path = parse_location(prefix.removeprefix("*."), f"{what}.prefix")
    if not prefix.startswith("*."):
        return "/".join(part for part in (canonical(host, "")[0], path) if part)
    if path or ":" in host:
        raise InvalidInput(f"{what}.prefix: {prefix!r} is *. and more than a domain")
    return f"*.{host}"


def _mirror(table: dict[str, Any], prefix: str, what: str) -> Mirror:
    _check_keys(table, _MIRROR, what)
    location = _text(table, "location", what)
    if not location:
        raise InvalidInput(f"{what} has no location")
    named = prefix.startswith(EVERY_HOST) and location.split("/")[1:].count("*") == 1
    parse_location(location.replace("/*", "/any-host") if named else location, f"{what}.location")
    try:
        pull = Pull(_text(table, "pull", what) or Pull.ALL.value)
    except ValueError:
        choices = ", ".join(member.value for member in Pull)
        raise InvalidInput(f"{what}.pull must be one of {choices}, not {table['pull']!r}") from None
    return Mirror(
        location=location, insecure=_flag(table, "insecure", what), ca=_file(table, "ca", what), pull=pull
    )


def _check_keys(table: dict[str, Any], known: tuple[str, ...], what: str) -> None:
    for key in table:
        if key not in known:
            raise InvalidInput(f"{what}: unknown key {key!r}", hint=f"the keys are {', '.join(known)}")


def _text(table: dict[str, Any], key: str, what: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise InvalidInput(f"{what}.{key} must be a string, not {value!r}")
    return value


def _flag(table: dict[str, Any], key: str, what: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"{what}.{key} must be true or false, not {value!r}")
    return value


def _file(table: dict[str, Any], key: str, what: str) -> str:
    value = _text(table, key, what)
    if value and (not value.startswith("/") or "\0" in value):
        raise InvalidInput(f"{what}.{key} must be an absolute path, not {value!r}")
    return value

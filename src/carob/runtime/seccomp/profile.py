"""Profiles that users bring: docker's and podman's files, and ``linux.seccomp`` as it stands in OCI. Pure.

A profile of docker's is for all architectures, capabilities and kernels: its rules say what they are for.
What comes out is what the OCI runtime takes on this machine.
"""

from __future__ import annotations

from carob.errors import InvalidInput, Unsupported
from carob.runtime.seccomp.machine import architectures, go_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

_ACTIONS = frozenset(
    f"SCMP_ACT_{name}"
    for name in ("ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "TRACE", "TRAP")
)
_OPERATORS = frozenset(f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"))
_HIGHEST = (1 << 64) - 1
_HIGHEST_ERRNO = 4095


class Host:
    """What a rule may depend on: ``machine`` and ``release`` as uname(2) has them, and ``capabilities``."""

    __slots__ = ("capabilities", "machine", "release")

    def __init__(self, machine: str, release: str, capabilities: Collection[str]) -> None:
        self.machine = machine
        self.release = release
        self.capabilities = frozenset(capabilities)


def read(raw: bytes, host: Host) -> dict[str, Any]:
    """``linux.seccomp`` from a profile.

    Raises ``InvalidInput`` and ``Unsupported``, with the path of the field.
    """
    from carob.protocol.compact_json import loads

    try:
        given = loads(raw)
    except ValueError as error:
        raise InvalidInput(f"the seccomp profile is no JSON: {error}") from None
    if not isinstance(given, dict):
        raise InvalidInput("the seccomp profile is no JSON object")
    if given.get("listenerPath") or given.get("listenerMetadata"):
        raise Unsupported("the seccomp profile asks for a listener, and carob has none")
    found: dict[str, Any] = {"defaultAction": _action(given.get("defaultAction"), "defaultAction")}
    if (number := _error_number(given, "", "defaultErrno")) is not None:
        found["defaultErrnoRet"] = number
    if arches := _architectures(given, host):
        found["architectures"] = arches
    if flags := _texts(given.get("flags"), "flags"):
        found["flags"] = flags
    rules = _items(given.get("syscalls"), "syscalls")
    found["syscalls"] = [
        _rule(rule, f"syscalls[{index}]")
        for index, rule in enumerate(rules)
        if _is_meant(rule, f"syscalls[{index}]", host)
    ]
    return found


def _architectures(given: dict[str, Any], host: Host) -> list[str]:
    if given.get("architectures"):
        return _texts(given["architectures"], "architectures")
    own = architectures(host.machine)
    for index, entry in enumerate(_items(given.get("archMap"), "archMap")):
        path = f"archMap[{index}]"
        mapping = _object(entry, path)
        if own and mapping.get("architecture") == own[0]:
            return [own[0], *_texts(mapping.get("subArchitectures"), f"{path}.subArchitectures")]
    return []


def _is_meant(rule: Any, path: str, host: Host) -> bool:
    given = _object(rule, path)
    includes, excludes = (_object(given.get(key) or {}, f"{path}.{key}") for key in ("includes", "excludes"))
    return _fits(includes, f"{path}.includes", host, default=True) and not _fits(
        excludes, f"{path}.excludes", host, default=False
    )


def _fits(condition: dict[str, Any], path: str, host: Host, *, default: bool) -> bool:
    """A rule is for whoever fits all that it includes, and for nobody who fits any that it excludes."""
    answers = []
    if arches := _texts(condition.get("arches"), f"{path}.arches"):
        answers.append(go_name(host.machine) in arches)
    if capabilities := _texts(condition.get("caps"), f"{path}.caps"):
        has = [name in host.capabilities for name in capabilities]
        answers.append(all(has) if default else any(has))
    if condition.get("minKernel"):
        answers.append(_version(host.release) >= _version(str(condition["minKernel"])))
    if not answers:
        return default
    return all(answers) if default else any(answers)


def _version(release: str) -> tuple[int, int]:
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major) if major.isdecimal() else 0, int(minor) if minor.isdecimal() else 0)


def _rule(rule: dict[str, Any], path: str) -> dict[str, Any]:
    names = _texts(rule.get("names"), f"{path}.names") or _texts(
        rule.get("name") and [rule["name"]], f"{path}.name"
    )
    if not names:
        raise InvalidInput(f"the seccomp profile: {path} names no system call")
    found: dict[str, Any] = {"names": names, "action": _action(rule.get("action"), f"{path}.action")}
    if (number := _error_number(rule, f"{path}.", "errno")) is not None:
        found["errnoRet"] = number
    if arguments := _items(rule.get("args"), f"{path}.args"):
        found["args"] = [_argument(one, f"{path}.args[{index}]") for index, one in enumerate(arguments)]
    return found


def _argument(given: Any, path: str) -> dict[str, Any]:
    argument = _object(given, path)
    operator = argument.get("op")
    if operator not in _OPERATORS:
        raise InvalidInput(f"the seccomp profile: {path}.op is no comparison: {operator!r}")
    return {
        "index": _whole(argument.get("index"), f"{path}.index", 5),
        "value": _whole(argument.get("value"), f"{path}.value", _HIGHEST),
        "valueTwo": _whole(argument.get("valueTwo") or 0, f"{path}.valueTwo", _HIGHEST),
        "op": operator,
    }


def _error_number(given: dict[str, Any], path: str, key: str) -> int | None:
    """What a call fails with: ``errnoRet``, a number, or podman's ``errno``, a name."""
    if given.get(f"{key}Ret") is not None:
        return _whole(given[f"{key}Ret"], f"{path}{key}Ret", _HIGHEST_ERRNO)
    name = given.get(key)
    if not name:
        return None
    import errno

    number = getattr(errno, name, None) if isinstance(name, str) and name.startswith("E") else None
    if not isinstance(number, int):
        raise InvalidInput(f"the seccomp profile: {path}{key} is no name of an error: {name!r}")
    return number


def _action(value: Any, path: str) -> str:
    if value == "SCMP_ACT_NOTIFY":
        raise Unsupported(f"the seccomp profile: {path} asks for a listener, and carob has none")
    if not isinstance(value, str) or value not in _ACTIONS:
        raise InvalidInput(f"the seccomp profile: {path} is no action: {value!r}")
    return value


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"the seccomp profile: {path} is no object")
    return value


def _items(value: Any, path: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidInput(f"the seccomp profile: {path} is no list")
    return value


def _texts(value: Any, path: str) -> list[str]:
    for one in _items(value, path):
        if not isinstance(one, str):
            raise InvalidInput(f"the seccomp profile: {path} holds something else than strings")
    return list(value or ())


def _whole(value: Any, path: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise InvalidInput(f"the seccomp profile: {path} is no number from 0 to {most}")
    return value

"""The rules as the OCI runtime takes them: ``linux.seccomp`` of runtime-spec, config-linux.md. Pure."""

from __future__ import annotations

from carob.runtime.seccomp.machine import architectures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from carob.runtime.seccomp.rules import Rules

EPERM = 1
ENOSYS = 38
ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"
KILL = "SCMP_ACT_KILL_PROCESS"


def section(
    machine: str, default: str, errno: int | None, syscalls: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    """A filter: ``default`` is what becomes of calls that no rule is for, ``errno`` its error number."""
    found: dict[str, Any] = {"defaultAction": default}
    if errno is not None:
        found["defaultErrnoRet"] = errno
    if arches := architectures(machine):
        found["architectures"] = list(arches)
    found["syscalls"] = list(syscalls)
    return found


def of_rules(rules: Rules, machine: str) -> dict[str, Any]:
    """The default profile."""
    syscalls: list[dict[str, Any]] = [{"names": sorted(rules.allowed), "action": ALLOW}]
    syscalls += checked_calls(rules)
    if rules.unknown:
        syscalls.append({"names": sorted(rules.unknown), "action": ERRNO, "errnoRet": ENOSYS})
    return section(machine, ERRNO, EPERM, syscalls)


def checked_calls(rules: Rules) -> list[dict[str, Any]]:
    """The rules for calls of which an argument decides."""
    found = []
    for name, (index, pairs) in rules.checked.items():
        for mask, value in pairs:
            condition = {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
            found.append({"names": [name], "action": ALLOW, "args": [condition]})
    return found

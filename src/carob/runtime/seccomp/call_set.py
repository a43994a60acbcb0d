"""rkt's and appc's filters: the calls that an app keeps, or those that it loses.

Source: appc specification 0.8.11, ``os/linux/seccomp-retain-set`` and ``-remove-set``; rkt's guide. Pure.
"""

from __future__ import annotations

from carob.errors import InvalidInput, Unsupported
from carob.runtime.seccomp.document import ALLOW, EPERM, ERRNO, KILL, checked_calls, of_rules, section
from carob.runtime.seccomp.machine import default_rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal

    from carob.runtime.seccomp.rules import Rules

_EVERYTHING = "@appc.io/all"
_NOTHING = "@appc.io/empty"
_ALLOWED = ("@rkt/default-whitelist", "@docker/default-whitelist")
_REFUSED = ("@rkt/default-blacklist", "@docker/default-blacklist")
# What it takes to get an app from the filter to its first instruction, and to its end.
_LIFE_CYCLE = ("close", "execve", "exit", "exit_group", "restart_syscall", "rt_sigreturn", "sigreturn")
# crun does with these; runc, and Go beneath it, goes about it in more steps.
_OF_RUNC = (
    "epoll_ctl", "fcntl", "fstat", "fstatfs", "futex", "getdents64", "getpid", "getppid", "gettid", "madvise",
    "mmap", "munmap", "nanosleep", "newfstatat", "openat", "read", "rt_sigaction", "rt_sigprocmask",
    "sched_yield", "sigaltstack", "tgkill", "write",
)  # fmt: skip


class CallSet:
    """The calls that an app keeps (``mode="retain"``) or loses (``mode="remove"``).

    ``names`` are calls, or rkt's names for sets of them: ``@appc.io/all`` and ``@appc.io/empty``,
    ``@rkt/default-whitelist`` and ``@rkt/default-blacklist``, the same of ``@docker``. A call that is not let
    through fails with ``errno`` (``"EPERM"``); where that is ``""`` the app is killed by SIGSYS.

    To retain is to have these and no others, but for what starting and ending take. To remove takes them from
    the default filter. Raises ``InvalidInput`` for what is no call, ``Unsupported`` for another set.
    """

    __slots__ = ("errno", "mode", "names")

    def __init__(self, mode: Literal["retain", "remove"], names: Iterable[str], errno: str = "") -> None:
        if mode not in ("retain", "remove"):
            raise InvalidInput(f"a set of system calls is to retain or to remove, not {mode!r}")
        self.mode = mode
        self.names = tuple(names)
        self.errno = errno
        if not self.names:
            raise InvalidInput(f"seccomp: nothing is named that is to {mode}")
        _check(self.names)
        _error_number(errno)

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise AttributeError(f"a CallSet does not change: {name}")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"CallSet({self.mode!r}, {list(self.names)!r}, {self.errno!r})"


def within_default(calls: CallSet) -> CallSet | None:
    """The same with no call that the default filter refuses; ``None`` where that is all of the default's."""
    if calls.mode == "remove":
        return calls
    if _EVERYTHING in calls.names or any(name in _ALLOWED for name in calls.names):
        return None
    from carob.runtime.seccomp import numbers

    gone = numbers.names() - {*calls.names, *_LIFE_CYCLE, *_OF_RUNC}
    return CallSet("remove", sorted(gone), calls.errno)


def document(calls: CallSet, machine: str, lifted: frozenset[str], runtime: str) -> dict[str, Any] | None:
    """The set as ``linux.seccomp``; ``None`` where nothing is filtered. ``runtime`` is crun or runc."""
    rules = default_rules(machine, lifted)
    number = _error_number(calls.errno)
    otherwise = KILL if number is None else ERRNO
    if calls.mode == "retain":
        if _EVERYTHING in calls.names:
            return None
        start = _LIFE_CYCLE if runtime == "crun" else (*_LIFE_CYCLE, *_OF_RUNC)
        plain = _expanded(calls.names, rules).union(start)
        syscalls: list[dict[str, Any]] = [{"names": sorted(plain), "action": ALLOW}]
        if any(name in _ALLOWED for name in calls.names):
            syscalls += [rule for rule in checked_calls(rules) if rule["names"][0] not in plain]
        return section(machine, otherwise, number, syscalls)
    found = of_rules(rules, machine)
    if _NOTHING in calls.names:
        return found
    gone = _expanded(calls.names, rules)
    kept = [
        {**rule, "names": [name for name in rule["names"] if name not in gone]} for rule in found["syscalls"]
    ]
    found["syscalls"] = [one for one in kept if one["names"]]
    if number != EPERM:  # libseccomp takes no rule that says what is said of all others
        rule: dict[str, Any] = {"names": sorted(gone), "action": otherwise}
        found["syscalls"].append(rule if number is None else {**rule, "errnoRet": number})
    return found


def _expanded(names: Iterable[str], rules: Rules) -> frozenset[str]:
    """The calls themselves. Those of which an argument decides are not in the default sets."""
    found: set[str] = set()
    for name in names:
        if name in _ALLOWED:
            found |= rules.allowed
        elif name in _REFUSED:
            found |= rules.refused | rules.unknown
        elif not name.startswith("@"):
            found.add(name)
    return frozenset(found)


def _check(names: tuple[str, ...]) -> None:
    from carob.runtime.seccomp import numbers

    known = numbers.names()
    for name in names:
        if name in known or name in (_EVERYTHING, _NOTHING, *_ALLOWED, *_REFUSED):
            continue
        if name.startswith("@"):
            raise Unsupported(f"seccomp: carob has no set of calls {name!r}", hint="name the calls instead")
        from difflib import get_close_matches

        near = get_close_matches(name, known, 1, 0.76)
        hint = f"did you mean {near[0]}?" if near else "syscalls(2) has them all"
        raise InvalidInput(f"seccomp: there is no system call {name!r}", hint=hint)


def _error_number(name: str) -> int | None:
    """The number behind a name of errno(3); ``None`` for none."""
    if not name:
        return None
    import errno

    number = getattr(errno, name, None) if name[0] == "E" and name.isupper() else None
    if not isinstance(number, int):
        raise InvalidInput(f"seccomp: there is no error {name!r}", hint="errno(3) has their names: EPERM")
    return number

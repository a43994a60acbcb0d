"""Capabilities: their names, what an app gets of them, and what its user holds (capabilities(7)). Pure."""

from __future__ import annotations

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

NAMES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT",
    "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE",
    "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
    "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip
"""As the kernel numbers them, from 0 (linux/capability.h)."""

DEFAULT = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
"""What an app may do as root inside: podman's set, which is docker's without AUDIT_WRITE (for login
programs), MKNOD (device nodes) and NET_RAW (forged packets on a network that pods share; ping needs it not).
"""

ALL = "ALL"


def checked(given: Iterable[str], what: str) -> tuple[str, ...]:
    """Names as the kernel has them, in the order given, once each; ``ALL`` stays.

    ``net_admin`` and ``CAP_NET_ADMIN`` are the same. Raises ``InvalidInput`` for one that is none.
    """
    return tuple(dict.fromkeys([_checked(name, what) for name in given]))


def _checked(given: str, what: str) -> str:
    name = given.upper()
    if name != ALL and not name.startswith("CAP_"):
        name = f"CAP_{name}"
    if name == ALL or name in NAMES:
        return name
    from difflib import get_close_matches

    near = get_close_matches(name, NAMES, 1, 0.75)
    hint = f"did you mean {near[0]}?" if near else "capabilities(7) has them all; ALL is every one"
    raise InvalidInput(f"{what}: there is no capability {given!r}", hint=hint)


def chosen(
    base: Collection[str], *, add: Sequence[str] = (), drop: Sequence[str] = (), every: Sequence[str] = NAMES
) -> tuple[str, ...]:
    """The bounding set, in the kernel's order: ``base`` without ``drop`` and with ``add``.

    ``ALL`` in ``add`` is ``every``; ``ALL`` in ``drop`` leaves what ``add`` names. All are checked names.
    Raises ``InvalidInput`` for one that is added and dropped.
    """
    for name in add:
        if name in drop:
            raise InvalidInput(f"{name} is both added and dropped", hint="keep one of the two")
    found = set() if ALL in drop else set(every) if ALL in add else set(base) - set(drop)
    found.update(name for name in add if name != ALL)
    if ALL in add:
        found.difference_update(drop)
    return tuple([name for name in NAMES if name in found])


def held(bounding: Sequence[str], granted: Collection[str], uid: int) -> dict[str, list[str]]:
    """``process.capabilities`` of runtime-spec (config.md, "POSIX process") for a user.

    Root holds the bounding set. Another user holds what was ``granted`` by name, as ambient capabilities,
    which programs inherit; all else could only be gained by set-user-ID programs and file capabilities.
    """
    if uid == 0:
        full = list(bounding)
        return {"bounding": full, "effective": full, "permitted": full}
    own = [name for name in bounding if name in granted]
    if not own:
        return {"bounding": list(bounding)}
    return {
        "bounding": list(bounding),
        **dict.fromkeys(("effective", "permitted", "inheritable", "ambient"), own),
    }


def of_mask(mask: int) -> tuple[str, ...]:
    """The names in a set as /proc has it in hexadecimal; those that carob does not know are left out."""
    return tuple([name for number, name in enumerate(NAMES) if mask >> number & 1])

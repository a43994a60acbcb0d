"""Where a pod's control group is made: below a path, a slice of systemd's, or the caller's own group."""

from __future__ import annotations

from carob.errors import InvalidInput

SPLIT = "split"
_SLICE = ".slice"
_OF_UNITS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.\\-")


def parent(given: str) -> str:
    """A group as an absolute path without the last slash; ``""`` is the root. Raises ``InvalidInput``.

    ``user-1000.slice`` is where systemd has it: ``/user.slice/user-1000.slice`` (systemd.slice(5)).
    """
    if given.endswith(_SLICE) and "/" not in given:
        return _of_slice(given)
    parts = given.removesuffix("/").split("/")
    if not given.startswith("/") or any(part in ("", ".", "..") for part in parts[1:]):
        raise InvalidInput(
            f"{given!r} is no control group",
            hint="a path below /sys/fs/cgroup, such as /machine.slice, or a slice's name",
        )
    return "/".join(parts)


def _of_slice(name: str) -> str:
    words = name.removesuffix(_SLICE).split("-")
    if words == ["", ""]:
        return ""  # -.slice, the root
    if not all(words) or not _OF_UNITS.issuperset(name):
        raise InvalidInput(f"{name!r} is no name of a slice", hint="such as machine.slice or user-1000.slice")
    return "".join([f"/{'-'.join(words[: depth + 1])}{_SLICE}" for depth in range(len(words))])


def mode(given: str, cgroup_parent: str) -> str:
    """``enabled`` or ``split``. Raises ``InvalidInput`` for another, and for a split beside a parent."""
    if given not in ("enabled", SPLIT):
        raise InvalidInput(f"cgroups is not {given!r}", hint="enabled or split")
    if given == SPLIT and cgroup_parent:
        raise InvalidInput(
            f"a pod is below its caller's group or below {cgroup_parent}, not both",
            hint="leave out cgroups=split, or cgroup_parent",
        )
    return given

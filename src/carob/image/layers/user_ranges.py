"""The ranges of owners that a user may map into a user namespace (subuid(5), newuidmap(1))."""

from __future__ import annotations

import os

from carob.errors import CommandFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from carob.linux.idmap import Range


def subordinate_ranges(path: str, uid: int) -> list[Range]:
    """The ranges that ``/etc/subuid`` or ``/etc/subgid`` has for a user, from 1 on inside."""
    names = {str(uid)}
    try:
        import pwd

        names.add(pwd.getpwuid(uid).pw_name)
    except KeyError:
        pass
    return ranges_of(path, names)


def ranges_of(path: str, names: Set[str]) -> list[Range]:
    """The ranges that a file of this form has for one user, by any of these names, from 1 on inside."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.strip().split(":") for line in file]
    except FileNotFoundError:
        return []
    ranges = []
    inside = 1
    for words in lines:
        if len(words) == 3 and words[0] in names and words[1].isdigit() and words[2].isdigit():
            ranges.append((inside, int(words[1]), int(words[2])))
            inside += int(words[2])
    return ranges


def newidmap(program: str, pid: int, ranges: Sequence[Range]) -> None:
    """Maps owners into the user namespace of a process by newuidmap or newgidmap, which may do it."""
    import subprocess

    words = [str(number) for one in ranges for number in one]
    environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/bin:/usr/local/bin"}
    try:
        done = subprocess.run(
            [program, str(pid), *words], check=False, capture_output=True, text=True, env=environment
        )
    except FileNotFoundError as error:
        raise Unsupported(
            f"{program} is not there, and unpacking without root needs it",
            hint="install Debian's uidmap, or take the ranges out of /etc/subuid to have all files your own",
        ) from error
    if done.returncode:
        raise CommandFailed(
            f"{program} could not map the owners of {os.geteuid()}",
            argv=(program, str(pid), *words),
            status=done.returncode,
            stderr=done.stderr[-2000:],
            hint="look at /etc/subuid and /etc/subgid",
        )

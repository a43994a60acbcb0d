"""What this host can and cannot do for pods, and how to mend each.

Every check looks at the host itself, and tries what can be tried without leaving anything.
"""

from __future__ import annotations

from carob.engine.doctor.check import FAILED, LACKING, OK, Check

__all__ = ["FAILED", "LACKING", "OK", "Check", "examine"]


def examine(data_dir: str, *, runtime: str = "") -> list[Check]:
    """All checks, for this user, this data directory and the runtime that is configured."""
    from carob.engine.doctor import cgroups, kernel, machine, programs, storage, user

    found: list[Check] = []
    for topic, checks in (
        ("kernel", kernel.checks()),
        ("cgroups", cgroups.checks()),
        ("programs", programs.checks(runtime)),
        ("data directory", storage.checks(data_dir)),
        ("machine", machine.checks()),
        ("user", user.checks()),
    ):
        try:
            found += checks
        except OSError as error:
            where = f"{error.filename or ''}: {error.strerror}".removeprefix(": ")
            found.append(
                Check(topic, "the rest", LACKING, f"it cannot be looked at: {where}", "look as root")
            )
    return found

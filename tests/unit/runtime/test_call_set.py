"""What an image's filter may ask for: less than the default one, and never more."""

from __future__ import annotations

from typing import Any

import pytest

from carob.runtime.seccomp.call_set import CallSet, document, within_default

MACHINE = "x86_64"
NOTHING_LIFTED: frozenset[str] = frozenset()


def allowed(calls: CallSet | None) -> dict[str, list[Any]]:
    """The calls that are let through, each with the conditions on its arguments."""
    made = document(calls or CallSet("remove", ["@appc.io/empty"]), MACHINE, NOTHING_LIFTED, "crun")
    assert made is not None
    found: dict[str, list[Any]] = {}
    for rule in made["syscalls"]:
        if rule["action"] == "SCMP_ACT_ALLOW":
            for name in rule["names"]:
                found.setdefault(name, []).append(rule.get("args"))
    return found


def test_what_is_retained_is_so_as_far_as_by_default() -> None:
    usual = allowed(None)
    made = allowed(
        within_default(CallSet("retain", ["read", "mount", "clone", "personality", "getuid"], "EPERM"))
    )
    assert {"read", "getuid", "execve"} <= set(made)
    assert "mount" not in made
    assert "mkdir" in usual
    assert "mkdir" not in made
    for name, conditions in made.items():
        assert conditions == usual[name]
    assert made["clone"] != [None]


@pytest.mark.parametrize("names", [["@appc.io/all"], ["@rkt/default-whitelist", "mount"]])
def test_all_that_there_is_becomes_the_default(names: list[str]) -> None:
    assert within_default(CallSet("retain", names)) is None


def test_what_is_removed_is_removed() -> None:
    calls = CallSet("remove", ["mkdir"], "ENOSYS")
    assert within_default(calls) is calls

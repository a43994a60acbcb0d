"""A change of the public interface is seen, and made on purpose."""

from __future__ import annotations

import difflib

from tests.architecture.public_api import SNAPSHOT, describe


def test_public_names_and_signatures_are_those_of_the_snapshot() -> None:
    before, now = SNAPSHOT.read_text(encoding="utf-8"), describe()
    changes = "\n".join(
        difflib.unified_diff(before.splitlines(), now.splitlines(), "snapshot", "code", lineterm="")
    )
    assert before == now, (
        f"{changes}\n\nIf this is meant, run `python -m tests.architecture.public_api --write`"
        " and tell of it in CHANGELOG.md."
    )

"""Trying a mutation: its test is run with the changed sources, and has to fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from enum import StrEnum
from pathlib import Path

from tests.architecture.sources import ROOT
from tests.mutations.mutation import Mutation, make_tree

_SUMMARY = re.compile(r"^\d+ (?:failed|passed|skipped|error).* in .*s", re.MULTILINE)
_LONGEST_S = 600.0


class Outcome(StrEnum):
    """What became of a run of tests."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    BROKEN = "broken"


class Run:
    """What pytest said: an outcome and its output."""

    def __init__(self, outcome: Outcome, output: str) -> None:
        self.outcome = outcome
        self.output = output


def run(test: str, mutation: Mutation | None) -> Run:
    """Runs a test with the mutation in carob's sources, or with none."""
    with tempfile.TemporaryDirectory(prefix="carob-mutation-") as directory:
        os.chmod(directory, 0o755)  # some tests run carob as another user
        make_tree(Path(directory), mutation)
        # Others may run pods on this machine meanwhile, and a mutation may be that something is left.
        environment = os.environ | {"PYTHONPATH": directory, "CAROB_TESTS_LEAKS": "report"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:randomly", test]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_LONGEST_S,
        )
    return Run(_outcome(done.returncode, done.stdout), done.stdout)


def _outcome(status: int, output: str) -> Outcome:
    """Only a test that ran and failed has noticed anything: no error in collecting it, none before it."""
    summary = _SUMMARY.findall(output)
    said = summary[-1] if summary else ""
    if status == 1 and "failed" in said:
        return Outcome.FAILED
    if status == 0 and "passed" in said:
        return Outcome.SKIPPED if "skipped" in said else Outcome.PASSED
    return Outcome.SKIPPED if status == 0 else Outcome.BROKEN

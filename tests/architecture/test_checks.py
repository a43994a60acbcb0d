"""The linter, the formatter and the type checkers agree with the code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

BIN = Path(sys.executable).parent

CHECKS = {
    "ruff": ["ruff", "check", "--no-cache", "."],
    "format": ["ruff", "format", "--no-cache", "--check", "."],
    "mypy": ["mypy", "--cache-dir", ".cache/mypy"],
    "pyright": ["basedpyright", "--level", "error"],
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", CHECKS)
def test_check_passes(check: str) -> None:
    command, *arguments = CHECKS[check]
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    result = subprocess.run(
        [str(BIN / command), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-8000:]

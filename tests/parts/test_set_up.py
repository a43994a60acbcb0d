"""The options of setup/install add up, whatever their order."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.parts.lacking import ROOT


@pytest.mark.parametrize(
    ("options", "level"),
    [
        ((), "user"),
        (("--test",), "test"),
        (("--bench",), "test"),
        (("--test", "--bench", "--user"), "test"),
        (("--test", "--user"), "test"),
    ],
)
def test_the_highest_level_counts(options: tuple[str, ...], level: str, tmp_path: Path) -> None:
    (tmp_path / "setup").mkdir()
    shutil.copy(ROOT / "setup/install", tmp_path / "setup/install")
    shown = subprocess.run(
        [str(tmp_path / "setup/install"), "--list", *options],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 1  # a checkout that was never set up lacks at least the Python environment
    assert f"carob set-up ({level}) is going to install" in shown.stderr


def test_an_unknown_option_is_answered_by_the_usage(tmp_path: Path) -> None:
    shown = subprocess.run(
        [str(ROOT / "setup/install"), "--tests"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 2
    assert "--bench" in shown.stderr
    assert "set -euo" not in shown.stderr

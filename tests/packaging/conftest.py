"""A wheel and an sdist, built once, and empty environments to try them in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.architecture.sources import ROOT, files_of_the_project


class Built(NamedTuple):
    """The two archives of one build, the wheel made from the sdist."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist, and the wheel made from what the sdist holds; nothing is downloaded."""
    tree, dist = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for path in files_of_the_project():
        target = tree / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(tree))
    (sdist,) = dist.glob("carob-*.tar.gz")
    (wheel,) = dist.glob("carob-*-py3-none-any.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="session")
def empty_venv(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds carob's wheel and what it depends on, and nothing else, not even pip."""
    venv = tmp_path_factory.mktemp("empty") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", str(venv))
    install(built.wheel, venv)
    return venv


def install(wheel: Path, venv: Path) -> None:
    """Install a wheel, and what it depends on, into an environment that has no pip, from this one."""
    run(sys.executable, "-m", "pip", f"--python={venv}/bin/python", "install", "-q", str(wheel))


def run(*command: str, cwd: str = "/", check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command away from the checkout, with none of Python's variables; return it, output as text."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))
    }
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    environment["PIP_ROOT_USER_ACTION"] = "ignore"
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if check:
        assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result

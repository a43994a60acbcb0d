"""Other Pythons at hand, and programs that use carob in processes of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import carob
from tests.needs import impossible_here

PACKAGE = Path(carob.__file__).parent


def newest() -> str:
    """Return the path of the newest CPython at hand that is newer than the one of the tests."""
    found = {}
    for path in _candidates():
        match = re.fullmatch(r"3\.(\d+)", _version(path))
        if match and int(match[1]) > sys.version_info.minor:
            found[int(match[1])] = str(path)
    if not found:
        impossible_here(f"no CPython newer than 3.{sys.version_info.minor}, and set-up installs none")
    return found[max(found)]


def _candidates() -> Iterator[Path]:
    for minor in range(sys.version_info.minor + 1, sys.version_info.minor + 10):
        path = shutil.which(f"python3.{minor}")
        if path is not None:
            yield Path(path)
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from sorted(versions.glob("3.*/bin/python3"))


def _version(path: Path) -> str:
    """Return ``3.x`` where the program is a CPython that works (a shim may not)."""
    code = "import sys; print('3.%d' % sys.version_info[1] if sys.implementation.name == 'cpython' else '')"
    try:
        said = subprocess.run([path, "-I", "-c", code], capture_output=True, text=True, check=False, cwd="/")
    except OSError:
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


def environment(*, with_sources: bool = True) -> dict[str, str]:
    """Return an environment with nothing of Python's but, if wanted, the way to carob's sources."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | ({"PYTHONPATH": str(PACKAGE.parent)} if with_sources else {})


def run(command: list[str | Path], *, cwd: str | Path = "/", with_sources: bool = True) -> str:
    """Run a program to its end, which must be good, and return what it said on stdout."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env=environment(with_sources=with_sources),
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert (result.returncode, result.stderr) == (0, ""), f"{result.stdout}{result.stderr}"
    return result.stdout


def copy_package(target: Path) -> Path:
    """Copy carob into the directory `target`, without compiled files, and return `target`."""
    shutil.copytree(PACKAGE, target / "carob", ignore=shutil.ignore_patterns("__pycache__"))
    return target


def older_than_supported() -> str:
    """Return the path of a CPython 3 at hand that is too old for carob."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [Path(f"/usr/bin/python3.{minor}") for minor in range(6, 11)]
    for path in [*candidates, *sorted(versions.glob("3.*/bin/python3"))]:
        match = re.fullmatch(r"3\.(\d+)", _version(path)) if path.exists() else None
        if match and int(match[1]) < 11:
            return str(path)
    return impossible_here("no CPython 3 older than 3.11, and set-up installs none")

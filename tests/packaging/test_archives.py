"""What the sdist and the wheel hold, and that a wheel in an empty environment works."""

from __future__ import annotations

import email
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, SRC, files_of_the_project
from tests.packaging.conftest import Built, install, run

pytestmark = pytest.mark.slow

NOT_IN_SDIST = {".gitattributes"}


def _version() -> str:
    scope: dict[str, str] = {}
    exec((SRC / "carob/_version.py").read_text(), scope)
    return scope["__version__"]


def test_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    expected = {str(p.relative_to(SRC)) for p in files_of_the_project() if p.is_relative_to(SRC)}
    with zipfile.ZipFile(built.wheel) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
        about = f"carob-{_version()}.dist-info"
        assert {name for name in names if not name.startswith(about)} == expected
        assert "carob/py.typed" in names
        assert f"{about}/licenses/LICENSE" in names
        metadata = email.message_from_bytes(wheel.read(f"{about}/METADATA"))
    assert metadata["Version"] == _version()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    needed = [line for line in metadata.get_all("Requires-Dist") or () if "extra ==" not in line]
    assert {re.split("[^a-z0-9]", line)[0] for line in needed} == {"backports", "isal", "rich", "urllib3"}


def test_sdist_holds_every_file_of_the_project(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames() if name.partition("/")[2]}
    ours = {str(path.relative_to(ROOT)) for path in files_of_the_project()}
    assert ours - names <= NOT_IN_SDIST
    assert names - ours <= {"PKG-INFO"}


def test_command_of_the_wheel_says_its_version(empty_venv: Path) -> None:
    assert _version() in run(str(empty_venv / "bin/carob"), "version").stdout
    assert _version() in run(str(empty_venv / "bin/python"), "-m", "carob", "version").stdout


def test_every_module_of_the_wheel_can_be_imported(empty_venv: Path) -> None:
    code = (
        "import pkgutil, carob, importlib\n"
        "for m in pkgutil.walk_packages(carob.__path__, 'carob.'):\n"
        "    if m.name.endswith('__main__'): continue\n"
        "    try: importlib.import_module(m.name)\n"
        "    except ModuleNotFoundError as error:\n"  # the extra is not installed
        "        of_extra = m.name.startswith(('carob.service.', 'carob.supervisor.probes.grpc'))\n"
        "        if 'carob' in (error.name or '') or not of_extra: raise\n"
    )
    run(str(empty_venv / "bin/python"), "-W", "error", "-c", code)


def test_wheel_works_with_every_python_at_hand(built: Built, tmp_path: Path) -> None:
    pythons = interpreters()
    assert pythons
    for number, python in enumerate(pythons):
        venv = tmp_path / str(number)
        run(python, "-m", "venv", "--without-pip", str(venv))
        install(built.wheel, venv)
        assert _version() in run(str(venv / "bin/carob"), "version").stdout, python


def interpreters() -> list[str]:
    """Return one interpreter for each supported version there is: pyenv's, or from PATH (never a shim)."""
    found = []
    for version in ("3.11", "3.12", "3.13", "3.14"):
        own = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"), reverse=True)
        for candidate in [*map(str, own), shutil.which(f"python{version}"), sys.executable]:
            code = f"import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
            if candidate and run(candidate, "-I", "-c", code, check=False).returncode == 0:
                found.append(candidate)
                break
    return found

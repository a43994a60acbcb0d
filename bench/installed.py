"""carob as its users have it: a wheel, built here, installed into a virtual environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata

from bench.figure import Unmeasurable
from bench.spawner import Spawner

_SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Installed:
    """``command`` is the console script, ``python`` the environment's interpreter."""

    def __init__(self, directory: str, spawner: Spawner) -> None:
        environment = os.path.join(directory, "venv")
        self.python = os.path.join(environment, "bin/python")
        self.command = os.path.join(environment, "bin/carob")
        # Compiled modules are part of an install, whatever this process was told about writing them.
        variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "--no-input"]
        offline = ["--no-deps", "--no-index"]
        wheels = os.path.join(directory, "wheels")
        build = ["wheel", *offline, "--no-build-isolation", f"--wheel-dir={wheels}", _SOURCE]
        spawner.run([*pip, *build], environment=variables)
        wheel = [name for name in os.listdir(wheels) if name.endswith(".whl")]
        base = getattr(sys, "_base_executable", sys.executable)
        spawner.run([base, "-m", "venv", "--without-pip", environment], environment=variables)
        spawner.run(
            [*pip, f"--python={self.python}", "install", *offline, os.path.join(wheels, wheel[0])],
            environment=variables,
        )
        if not os.path.exists(self.command):
            raise Unmeasurable("the wheel installs no command `carob`")
        said = spawner.run([self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])[1]
        _copy_dependencies(said.strip())


def _copy_dependencies(site_packages: str) -> None:
    """Copies what a plain install of the wheel brings along, from this environment: no index is asked."""
    (carob,) = metadata.distributions(name="carob", path=[site_packages])
    for distribution in _needed(carob, set()):
        for file in distribution.files or ():
            if ".." in file.parts:
                continue  # commands
            target = os.path.join(site_packages, *file.parts)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(file.locate(), target)


def _needed(distribution: metadata.Distribution, seen: set[str]) -> Iterator[metadata.Distribution]:
    """What a distribution requires, and what that requires: without extras, and what is not installed."""
    for requirement in distribution.requires or ():
        text, _, condition = requirement.partition(";")
        (name,) = re.findall(r"^[\w.-]+", text)
        if "extra" in condition or name in seen:
            continue
        seen.add(name)
        try:
            wanted = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another Python, or another system
        yield wanted
        yield from _needed(wanted, seen)

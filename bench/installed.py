"""carob as its users have it: a wheel, built here, installed into a virtual environment of its own."""

from __future__ import annotations

import os
import sys

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

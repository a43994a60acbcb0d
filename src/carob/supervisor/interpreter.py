"""Which Python runs the supervisor: a real interpreter of at least 3.11, never a shim or a script.

The supervisor needs the standard library and carob's own package directory (or zip), and nothing of a virtual
environment, so the interpreter is called with ``-I -S`` and told where carob is.
"""

from __future__ import annotations

import os
import sys

from carob.errors import Unsupported
from carob.supervisor.boot import package_root

# Any Python can read the first statement, so one that is too old says so in the supervisor's log.
_BOOT = (
    "import sys; sys.version_info >= (3, 11) or sys.exit('carob needs Python 3.11 and ' "
    "+ sys.executable + ' is ' + sys.version.split()[0]); "
    "sys.path.append({root!r}); from carob.supervisor.boot import main; main()"
)
_remembered: dict[str, str] = {}


def command(python: str | None = None, launcher: tuple[str, ...] = ()) -> list[str]:
    """The command line of a supervisor.

    ``python`` overrides the search; ``launcher`` is put between the interpreter's flags and the program (a
    coverage run, say). Raises ``Unsupported`` with what was tried where no interpreter is found.
    """
    program = _BOOT.format(root=package_root())
    if launcher:
        return [interpreter(python), "-I", *launcher, program]
    return [interpreter(python), "-I", "-S", "-c", program]


def interpreter(python: str | None = None) -> str:
    """The interpreter's own path; the answer for this process is remembered."""
    key = python or ""
    if key not in _remembered:
        _remembered[key] = _find(python)
    return _remembered[key]


def _find(python: str | None) -> str:
    tried = []
    for candidate in [python] if python else _candidates():
        path = os.path.realpath(candidate)
        if _is_interpreter(path):
            return path
        tried.append(candidate)
    raise Unsupported(
        f"no Python interpreter to run the supervisor with; tried: {', '.join(tried) or 'nothing'}",
        hint="give one of version 3.11 or newer: Engine(python=...), or supervisor.python in carob.toml",
    )


def _candidates() -> list[str]:
    """This process's own interpreter first: the one it calls itself, then what its prefix holds."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = [getattr(sys, "_base_executable", "") or "", sys.executable or ""]
    prefixes = [f"{prefix}/bin/{version}" for prefix in (sys.base_exec_prefix, sys.base_prefix)]
    return [path for path in (*own, *prefixes, "/usr/bin/python3", "/usr/local/bin/python3") if path]


def _is_interpreter(path: str) -> bool:
    """Whether it is a Python by name and a binary by its first bytes (a shim is a script)."""
    name = os.path.basename(path)
    if not name.startswith(("python3", "python")) or "config" in name:
        return False
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF" and os.access(path, os.X_OK)
    except OSError:
        return False

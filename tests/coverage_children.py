"""Coverage of supervisors, whose interpreters (-I -S) no environment variable and no .pth file reaches.

The engine is given `launcher_arguments()`, which it puts between the interpreter and the program::

    python -I  -S tests/coverage_launcher.py DIRECTORY SITE  "import sys; …; main()"

Each process of a supervisor leaves its figures in DIRECTORY, in a form that needs no file system of
the host to write; `store_children` makes coverage's own data files of them. Without coverage there
are no such arguments.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_DIRECTORY = _HERE.parent / ".cache/coverage/supervisors"


def _measuring() -> bool:
    if "coverage" not in sys.modules:
        return False
    import coverage

    return coverage.Coverage.current() is not None


def launcher_arguments() -> tuple[str, ...]:
    """Return the arguments that enter a supervisor under coverage, or nothing where none is measured."""
    if not _measuring():
        return ()
    import coverage

    _DIRECTORY.mkdir(parents=True, exist_ok=True)
    site = str(Path(coverage.__file__).parent.parent)
    return ("-S", str(_HERE / "coverage_launcher.py"), str(_DIRECTORY), site)


def store_children() -> None:
    """Turn what supervisors left into data files that `coverage combine` takes."""
    if not _measuring() or not _DIRECTORY.is_dir():
        return
    import coverage

    for path in sorted(_DIRECTORY.iterdir()):
        data = coverage.CoverageData(basename=str(_DIRECTORY.parent / "data"), suffix=path.name)
        data.loads(path.read_bytes())
        data.write()
        path.unlink()
    os.rmdir(_DIRECTORY)

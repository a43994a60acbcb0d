"""What the hot paths load: start-up is counted in milliseconds, and memory in what is imported.

Each path runs in an interpreter of its own (-I -S) with the sources as its only addition; its
modules are listed when it is done. A path may name modules that it must not load, or all that it
may load.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.architecture.sources import SRC

HEAVY = frozenset(
    {
        *(
            "argparse",
            "asyncio",
            "collections",
            "concurrent",
            "contextlib",
            "ctypes",
            "dataclasses",
            "datetime",
        ),
        *(
            "email",
            "functools",
            "http",
            "importlib.metadata",
            "inspect",
            "json",
            "logging",
            "multiprocessing",
        ),
        *("pathlib", "random", "re", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile"),
        *("threading", "tokenize", "traceback", "typing", "urllib", "uuid"),
    }
)

# enum costs 6 ms and needs functools and collections: where a path may load it, they come along.
WITH_ENUM = frozenset(["enum", "functools", "collections"])


class HotPath(NamedTuple):
    """Code and what it must not load; `allowed`, if given, is all that it may load outside of carob."""

    name: str
    code: str
    forbidden: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None


def _command(*arguments: str) -> str:
    return (
        f"import sys; sys.argv = {['carob', *arguments]!r}\n"
        "from carob.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
    )


HOT_PATHS = [
    HotPath("import carob", "import carob", forbidden=HEAVY | WITH_ENUM),
    HotPath("import carob.errors", "import carob.errors", allowed=frozenset()),
    HotPath("carob version", _command("version"), forbidden=HEAVY | WITH_ENUM),
    *(
        HotPath(f"carob {words}", _command("--dir", "{dir}", *words.split()), forbidden=HEAVY - WITH_ENUM)
        for words in ("list", "list --format=json", "gc", "stop x", "rm x")
    ),
]

_LIST = """
import sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
code = sys.argv[2]
exec(compile(code, "<hot path>", "exec"), {"__name__": "hot_path"})
sys.stdout.flush()
sys.stderr.write("\\nMODULES " + " ".join(sorted(set(sys.modules) - before)))
"""


def loaded_by(code: str) -> frozenset[str]:
    """Return the modules that a fresh interpreter loads for `code`."""
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LIST, str(SRC), code], capture_output=True, text=True, check=False
    )
    _, found, listed = result.stderr.rpartition("\nMODULES ")
    assert result.returncode == 0, result.stderr
    assert found, result.stderr
    return frozenset(listed.split())


@pytest.mark.parametrize("path", HOT_PATHS, ids=lambda path: path.name)
def test_hot_path_loads_little(path: HotPath, tmp_path: Path) -> None:
    loaded = loaded_by(path.code.replace("{dir}", str(tmp_path)))
    assert any(name.split(".")[0] == "carob" for name in loaded)
    assert sorted(loaded & path.forbidden) == []
    if path.allowed is not None:
        foreign = {name for name in loaded if name.split(".")[0] not in ("carob", "__future__")}
        assert sorted(foreign - path.allowed) == []

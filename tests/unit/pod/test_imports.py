"""What the hot names cost: modules that are slow to load stay out."""

from __future__ import annotations

import subprocess
import sys

import pytest

# `enum` and what it needs itself, and what the interpreter has loaded anyway.
ALLOWED = {
    "enum",
    "types",
    "operator",
    "functools",
    "collections",
    "keyword",
    "reprlib",
    "errno",
    "fcntl",
    "select",
}
SCRIPT = """
import sys
sys.path[:0] = sys.argv[2:]
import os
before = set(sys.modules)
exec(sys.argv[1])
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize(
    "statement",
    [
        "from carob.pod import Pod",
        "from carob.pod import scan; scan('/nonexistent')",
        "from carob.pod import new_pod, pod_from_uuid_string, walk_pods, delete",
        "from carob.pod import Pod; import carob.pod.transition, carob.pod.tree, carob.pod.times",
        "from carob.pod import collect_garbage",
    ],
)
def test_hot_names_load_little(statement: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT, statement, *sys.path],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = done.stdout.split()
    assert "carob.pod.state" in loaded
    strange = [name for name in loaded if not name.startswith(("carob", "_")) and name not in ALLOWED]
    assert [
        name for name in strange if not name.startswith("collections") and name not in ("itertools", "time")
    ] == []
    assert not [name for name in loaded if name.startswith(("carob.spec", "carob.engine"))]


def test_waiting_in_a_thread_does_not_load_asyncio() -> None:
    statement = "import carob.pod.wait"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT, statement, *sys.path],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "asyncio" not in done.stdout.split()
    assert "threading" not in done.stdout.split()

"""What the hot verbs load when they do their work: their start-up is counted in milliseconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.architecture.sources import SRC
from tests.architecture.test_hot_imports import HEAVY, WITH_ENUM
from tests.cli.conftest import Command

pytestmark = pytest.mark.root
_PROGRAM = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from carob.cli.main import main
status = main(sys.argv[1:])
sys.stderr.write("MODULES " + " ".join(sys.modules))
sys.exit(status)
"""


def loaded_by(carob: Command, *words: str) -> set[str]:
    """Run a verb that must succeed in a fresh interpreter and return the modules that it loaded."""
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _PROGRAM, str(SRC), *words],
        env=carob.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (words, result.stderr)
    return set(result.stderr.rpartition("MODULES ")[2].split())


def test_no_hot_verb_loads_what_is_heavy(carob: Command) -> None:
    forever = ("busybox", "--", "sh", "-c", "while :; do sleep 0.1; done")
    running, other = carob.detached(*forever), carob.detached(*forever)
    prepared = carob.ok("prepare", "busybox", "--", "true").strip()
    verbs = (
        ("list",),
        ("list", "--format=json"),
        ("status", running),
        ("status", "--format=json", running),
        ("status", "--wait-ready", running),
        ("logs", running),
        ("enter", running, "true"),
        ("stop", running),
        ("stop", "--force", other),
        ("status", "--wait", running),
        ("logs", "--follow", running),
        ("rm", running),
        ("prepare", "busybox", "--", "true"),
        ("run-prepared", "--rm", prepared),
        ("run", "--rm", "busybox", "--", "echo", "hi"),
        ("run", "--detach", "busybox", "--", "true"),
        ("gc", "--grace-period=0"),
    )
    found = {" ".join(words): loaded_by(carob, *words) & (HEAVY - WITH_ENUM) for words in verbs}
    assert {verb: sorted(modules) for verb, modules in found.items() if modules} == {}

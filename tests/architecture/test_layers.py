"""Imports point downwards only, and the pure modules do no input or output."""

from __future__ import annotations

import ast
import builtins
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, imports, modules, within

DOMAINS = ("carob.image", "carob.network", "carob.runtime", "carob.logs")

# (who, may not import, except): what the layers alone do not say.
RULES = {
    "front ends reach the domains and the pods only through the engine": (
        ("carob.cli", "carob.service"),
        (*DOMAINS, "carob.supervisor", "carob.pod"),
        (),
    ),
    "the async faces are of the engine and of waits on pods": (
        ("carob.aio",),
        (*DOMAINS, "carob.supervisor"),
        (),
    ),
    "the engine sees of the supervisor only how to launch it and its client": (
        ("carob.engine",),
        ("carob.supervisor",),
        ("carob.supervisor.launch", "carob.supervisor.client"),
    ),
    "the command knows no other front end, but for how to begin a service": (
        ("carob.cli",),
        ("carob.service", "carob.aio"),
        ("carob.service.main", "carob.service.settings", "carob.service.addresses"),
    ),
}

PURE = ("carob.spec", "carob.protocol", "carob.pod.state", "carob.runtime.bundle", "carob.supervisor.policy")
IMPURE_MODULES = (
    *("os", "posix", "io", "pathlib", "shutil", "tempfile", "glob", "mmap", "fcntl", "fileinput", "signal"),
    *("socket", "_socket", "select", "selectors", "ssl", "http", "urllib.request", "asyncio"),
    *("subprocess", "multiprocessing", "threading", "ctypes", "_ctypes", "resource", "pty", "tty", "termios"),
    *("carob.linux", "carob.logs", "carob.image", "carob.network", "carob.supervisor.launch", "logging"),
)
PURE_PARTS = ("os.urandom", "os.fsencode", "os.fsdecode", "os.fspath")  # they touch no file
IMPURE_CALLS = ("open", "print", "input", "breakpoint", "exec", "eval")


def test_import_linter_contracts_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("rule", RULES)
def test_rule_holds(rule: str) -> None:
    who, forbidden, allowed = RULES[rule]
    broken = [
        f"{name}:{line} imports {target}"
        for name in modules()
        if within(name, who)
        for line, target in imports(name)
        if within(target, forbidden) and not within(target, allowed)
    ]
    assert not broken, rule + ":\n" + "\n".join(broken)


def test_pure_modules_import_nothing_that_does_input_or_output() -> None:
    broken = [
        f"{name}:{line} imports {target}"
        for name in modules()
        if within(name, PURE)
        for line, target in imports(name)
        if within(target, IMPURE_MODULES) and target not in PURE_PARTS
    ]
    assert not broken, "\n".join(broken)


def test_pure_modules_call_nothing_that_does_input_or_output() -> None:
    assert all(hasattr(builtins, call) for call in IMPURE_CALLS)
    broken = [
        f"{name}:{node.lineno} calls {node.func.id}"
        for name, tree in modules().items()
        if within(name, PURE)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS
    ]
    assert not broken, "\n".join(broken)


def test_the_library_prints_nothing() -> None:
    broken = [
        f"{name}:{node.lineno}"
        for name, tree in modules().items()
        if not within(name, ("carob.cli",))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not broken, "\n".join(broken)

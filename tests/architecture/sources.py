"""The modules of carob and what each imports, read from their source."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"


@cache
def modules() -> dict[str, ast.Module]:
    """Return the syntax tree of every module of carob by its dotted name."""
    found = {}
    for path in sorted((SRC / "carob").rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def within(name: str, packages: tuple[str, ...]) -> bool:
    """Say whether a module is one of `packages` or inside one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def imports(name: str) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of all that a module imports, anywhere in it; ``from a import b`` is a.b."""
    is_package = (SRC.joinpath(*name.split(".")) / "__init__.py").exists()
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = name.split(".") if is_package else name.split(".")[:-1]
                kept = parents[: len(parents) - node.level + 1]
                base = ".".join([*kept, base] if base else kept)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def files_of_the_project() -> list[Path]:
    """Return every file that is or would be committed; in an unpacked sdist, every file."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-coz", "--exclude-standard"],
            capture_output=True,
            check=True,
        ).stdout.decode()
        names = [name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        skipped = {".venv", ".cache", "__pycache__", ".git"}
        names = [
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*")
            if not skipped.intersection(path.relative_to(ROOT).parts)
        ]
    return [ROOT / name for name in names if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]

"""The Python modules that are made from the project's .proto files, which are checked in.

python -m tests.architecture.generated            says which of them are not what their .proto gives
python -m tests.architecture.generated --write    writes them
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.architecture.sources import SRC

SUFFIXES = ("_pb2.py", "_pb2.pyi")


def definitions() -> list[Path]:
    """Return the .proto files."""
    return sorted((SRC / "carob").rglob("*.proto"))


def generate(target: Path) -> None:
    """Write the modules of all definitions below `target`, as they belong below src."""
    names = [str(path.relative_to(SRC)) for path in definitions()]
    plugin = Path(sys.executable).parent / "protoc-gen-mypy"
    outputs = [f"--python_out={target}", f"--plugin={plugin}", f"--mypy_out=quiet:{target}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, *names], cwd=SRC, check=True)


def outdated() -> list[str]:
    """Return the modules that are not what would be generated now, as paths below src."""
    with tempfile.TemporaryDirectory() as directory:
        generate(Path(directory))
        made = sorted(path for path in Path(directory).rglob("*") if path.name.endswith(SUFFIXES))
        names = [path.relative_to(directory) for path in made]
        wrong = [str(name) for name in names if not _same(Path(directory) / name, SRC / name)]
    known = {SRC / name for name in names}
    there = {path for suffix in SUFFIXES for path in (SRC / "carob").rglob(f"*{suffix}")}
    return wrong + [str(path.relative_to(SRC)) for path in sorted(there - known)]


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        generate(SRC)
    elif wrong := outdated():
        sys.exit("not as generated (python -m tests.architecture.generated --write): " + ", ".join(wrong))

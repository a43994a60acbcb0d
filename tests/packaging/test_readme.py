"""The README's commands are the Makefile's, and its example runs as it stands from a wheel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT
from tests.needs import require_command, require_root
from tests.packaging.conftest import run

README = ROOT / "README.md"


def _blocks(language: str) -> list[str]:
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_readme_names_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^make ([a-z]+)", "\n".join(_blocks("sh")), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.root
def test_readme_example_runs_from_the_wheel(empty_venv: Path, tmp_path: Path, busybox: Path) -> None:
    require_root()
    require_command("crun")
    (example, *_) = _blocks("python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    data, root_fs = tmp_path / "data", tmp_path / "root"
    (root_fs / "bin").mkdir(parents=True)
    (root_fs / "bin/busybox").write_bytes(busybox.read_bytes())
    (root_fs / "bin/busybox").chmod(0o755)
    (root_fs / "bin/sh").symlink_to("busybox")
    run(
        str(empty_venv / "bin/carob"),
        "--dir",
        str(data),
        "image",
        "import",
        str(root_fs),
        "--name",
        "busybox",
    )
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    result = run("env", f"CAROB_DIR={data}", str(empty_venv / "bin/python"), "-W", "error", str(script))
    assert "hi" in result.stdout
    assert result.stderr == ""

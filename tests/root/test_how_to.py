"""The programs in the documents do what the documents say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from carob import Engine
from tests.architecture.sources import ROOT
from tests.root import host_view, interpreters

PAGES = (
    ROOT / "docs/how-to/use-the-library.md",
    ROOT / "docs/how-to/look-after-pods.md",
    ROOT / "docs/how-to/steer-apps.md",
    ROOT / "docs/how-to/probes.md",
    ROOT / "docs/tutorial/a-job-runner.md",
)
_BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def programs(page: Path) -> list[tuple[str, str]]:
    """Return (program, what it prints) in the page's order."""
    return [(match[1], match[2]) for match in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


def written(program: str, engine: Engine, directory: Path) -> Path:
    """Write the program to a file, with the test's data directory for the default one; return its path."""
    assert "Engine()" in program
    script = directory / "program.py"
    script.write_text(program.replace("Engine()", f"Engine({engine.data_dir!r})"), encoding="utf-8")
    return script


@pytest.mark.parametrize(
    ("page", "number"),
    [(page, number) for page in PAGES for number in range(len(programs(page)))],
    ids=lambda value: value.stem if isinstance(value, Path) else None,
)
def test_program_prints_what_the_page_says(engine: Engine, tmp_path: Path, page: Path, number: int) -> None:
    program, expected = programs(page)[number]
    assert interpreters.run([sys.executable, "-W", "error", written(program, engine, tmp_path)]) == expected
    for left in engine.list():
        engine.handle(left.uuid).wait(timeout_s=60)
    engine.gc(grace_s=0)
    assert host_view.pod_directories(engine.data_dir) == []


def test_coroutines_work_with_the_newest_python(engine: Engine, tmp_path: Path) -> None:
    python = interpreters.newest()
    asynchronous = [(program, expected) for program, expected in programs(PAGES[0]) if "asyncio" in program]
    assert asynchronous
    for program, expected in asynchronous:
        script = written(program, engine, tmp_path)
        assert interpreters.run([python, "-X", "dev", "-W", "error", script]) == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_program_of_a_page_is_found(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(programs(page)) == text.count("```python\n") == text.count("```text\n") > 0

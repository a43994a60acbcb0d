"""The typed examples that mypy and pyright check (`tests/typing`) use every verb there is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import carob
from carob import aio
from carob.engine.images.collection import Images
from carob.engine.observe.output import Logs
from tests.architecture.sources import ROOT

EXAMPLES = {
    "library.py": (carob.Engine, carob.PodHandle, carob.Execution, carob.Completed, Images, Logs),
    "library_async.py": (aio.Engine, aio.PodHandle, aio.Execution, aio.Images, aio.Logs),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_verb_is_in_the_typed_examples(name: str) -> None:
    tree = ast.parse(Path(ROOT, "tests/typing", name).read_text())
    used = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    missing = [
        f"{kind.__name__}.{verb}"
        for kind in EXAMPLES[name]
        for verb, value in vars(kind).items()
        if callable(value) and not verb.startswith("_") and verb not in used
    ]
    assert missing == []


def test_every_name_of_the_library_is_in_the_typed_examples() -> None:
    tree = ast.parse(Path(ROOT, "tests/typing/library.py").read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert set(carob.__all__) - used <= {"CarobError"}  # that is in errors.py

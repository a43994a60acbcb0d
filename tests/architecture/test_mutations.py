"""Reliability: each promise of the page has tests that are there, and a mutation that they notice."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT
from tests.mutations.catalog import MUTATIONS
from tests.mutations.mutation import Mutation, make_tree
from tests.mutations.trial import Outcome, run

PAGE = "docs/explanation/reliability.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_NOT_PROMISED = "What is not promised"


def promises() -> dict[str, list[tuple[str, str]]]:
    """The page's promises: their headings, with the files and names of the tests behind each."""
    _, *sections = re.split(r"^### ", (ROOT / PAGE).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        section.partition("\n")[0]: _TEST.findall(section.partition(f"\n## {_NOT_PROMISED}")[0])
        for section in sections
    }


@cache
def functions(file: str) -> frozenset[str]:
    """The names of the functions in a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_every_test_of_the_page_is_there() -> None:
    for heading, tests in promises().items():
        assert tests, f"{heading}: no test"
        for file, name in tests:
            assert name in functions(file), f"{heading}: {file}::{name}"


def test_every_promise_has_a_mutation_that_one_of_its_tests_is_to_notice() -> None:
    known = {heading: {f"{file}::{name}" for file, name in tests} for heading, tests in promises().items()}
    assert set(known) == {one.promise for one in MUTATIONS}
    assert len(MUTATIONS) >= 25
    assert [one.test for one in MUTATIONS if one.test not in known[one.promise]] == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.breaks)
def test_every_mutation_can_be_made(mutation: Mutation, tmp_path: Path) -> None:
    make_tree(tmp_path, mutation)
    changed = tmp_path / "carob" / mutation.file
    before, after = (ast.dump(ast.parse(text)) for text in (_original(mutation), changed.read_text()))
    assert before != after
    file, _, name = mutation.test.partition("::")
    assert name in functions(file)


def _original(mutation: Mutation) -> str:
    return (ROOT / "src/carob" / mutation.file).read_text(encoding="utf-8")


@pytest.mark.parametrize("mutation", [one for one in MUTATIONS if one.quick], ids=lambda one: one.breaks)
def test_quick_mutations_are_noticed(mutation: Mutation) -> None:
    """`make mutation-test` tries all."""
    result = run(mutation.test, mutation)
    assert result.outcome is Outcome.FAILED, result.output


def test_what_is_not_changed_is_not_noticed() -> None:
    quick = next(one for one in MUTATIONS if one.quick)
    result = run(quick.test, None)
    assert result.outcome is Outcome.PASSED, result.output

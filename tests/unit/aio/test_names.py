"""The async names are those of the library, and come when they are asked for."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import carob
from carob import aio
from tests.architecture.sources import SRC

SAME = {"Engine": carob.Engine, "PodHandle": carob.PodHandle, "Execution": carob.Execution}
# What makes no sense on a loop, is `async with` there, or is a stream there rather than a descriptor.
OTHERWISE = {"fileno", "stdin"}
MORE = {"close", "write", "stdout", "stderr"}


def public(kind: type) -> set[str]:
    return {name for name, value in vars(kind).items() if not name.startswith("_") and callable(value)}


@pytest.mark.parametrize("name", SAME)
def test_every_verb_of_the_library_has_its_coroutine(name: str) -> None:
    mine = public(getattr(aio, name))
    assert public(SAME[name]) - OTHERWISE <= mine
    assert mine - public(SAME[name]) <= MORE


@pytest.mark.parametrize("name", ["Engine", "PodHandle"])
def test_arguments_are_those_of_the_library(name: str) -> None:
    for verb in public(SAME[name]):
        wanted = dict(inspect.signature(getattr(SAME[name], verb)).parameters)
        mine = inspect.signature(getattr(getattr(aio, name), verb)).parameters
        if verb != "run_request":
            wanted.pop("progress", None)  # called in a thread: for front ends alone
        assert {n: (p.kind, p.default) for n, p in mine.items()} == {
            n: (p.kind, p.default) for n, p in wanted.items()
        }, verb


def test_import_of_the_package_loads_nothing() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import carob.aio; print('asyncio' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(SRC)], capture_output=True, text=True, check=True
    )
    assert said.stdout == "False\n"


def test_names_are_listed_and_others_are_refused() -> None:
    assert {name for name in dir(aio) if not name.startswith("_")} == set(aio.__all__)
    with pytest.raises(AttributeError, match="Pod"):
        aio.Pod  # noqa: B018 - to ask for it is the test

"""What is made from .proto files is what they give."""

from __future__ import annotations

from tests.architecture.generated import definitions, outdated


def test_generated_modules_are_those_of_their_definitions() -> None:
    assert definitions()
    assert outdated() == []

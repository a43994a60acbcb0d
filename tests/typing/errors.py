"""Errors, as a program tells them apart. Not run: the type checkers read it."""

from __future__ import annotations

from typing import assert_type

from carob.errors import CarobError, Conflict, InvalidInput, LostRace, NotFound


def what_to_say(error: CarobError) -> str:
    """Every error has a message and a hint."""
    assert_type(error.message, str)
    assert_type(error.hint, str)
    return f"{error.message}: {error.hint}"


def what_to_do(error: CarobError) -> str:
    """The kinds say what the caller can do; built-in classes catch them too."""
    match error:
        case LostRace():
            assert_type(error.state, str)
            return "look at the state again"
        case Conflict():
            return "wait"
        case NotFound():
            as_lookup: LookupError = error
            return str(as_lookup)
        case InvalidInput():
            as_value: ValueError = error
            return str(as_value)
        case _:
            return error.kind

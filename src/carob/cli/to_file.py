"""Where a verb writes an archive: a file, or standard output where that is no terminal; and reads one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from carob.cli.options import Arguments, Option, UsageError
from carob.cli.output import STDOUT
from carob.errors import CarobError

OUTPUT = Option("--output", "the file to write; - for standard output", "FILE", short="-o")


def input_path(word: str) -> str:
    """The path to read from; ``-`` is standard input."""
    return "/dev/stdin" if word == "-" else word


def target(arguments: Arguments) -> str | int:
    """The path or the descriptor to write to. Raises ``UsageError`` where that is a terminal."""
    path = arguments.text("--output")
    if path and path != "-":
        return path
    if os.isatty(STDOUT):
        raise UsageError("standard output is a terminal", hint="give a file: --output FILE")
    return STDOUT


@contextmanager
def ends_quietly() -> Iterator[None]:
    """In the block: a reader of standard output that has gone is no failure to be told of."""
    try:
        yield
    except CarobError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            raise error.__cause__ from None
        raise

"""What a mutation is, and a tree of carob's sources with one in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tests.architecture.sources import SRC


class Mutation(NamedTuple):
    """A change of one file that breaks a promise.

    ``promise`` is the promise's heading in ``docs/explanation/reliability.md``, ``breaks`` says what goes
    wrong. In ``file``, below ``src/carob``, ``old`` occurs once and becomes ``new``; then ``test`` must fail.
    ``quick``: it is tried whenever the suite is run.
    """

    promise: str
    breaks: str
    file: str
    old: str
    new: str
    test: str
    quick: bool = False

    def mutated(self) -> str:
        """The file's text with the change in it; ``ValueError`` where it cannot be made."""
        text = (SRC / "carob" / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file}: {text.count(self.old)} times in it: {self.old!r}")
        return text.replace(self.old, self.new)


def make_tree(directory: Path, mutation: Mutation | None) -> None:
    """Makes ``directory``/carob: links to the sources, but for the changed file and what that is in."""
    parts = () if mutation is None else Path(mutation.file).parts
    place, original = directory / "carob", SRC / "carob"
    for part in parts:
        place.mkdir()
        for name in os.listdir(original):
            # What is compiled of the file as it was must not be taken for the changed one.
            if name not in (part, "__pycache__"):
                (place / name).symlink_to(original / name)
        place, original = place / part, original / part
    if mutation is None:
        place.symlink_to(original)
    else:
        place.write_text(mutation.mutated(), encoding="utf-8")

"""What is costly to make is made once a checkout, in ``.cache``, however many sessions ask for it at once."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.parts.lacking import ROOT, Lacking

CACHE = ROOT / ".cache/images"


class Cache:
    """The directory of one recipe. What other recipes made is removed when this one first makes something."""

    def __init__(self, recipe: str, parent: Path = CACHE) -> None:
        self.directory = parent / recipe
        self._parent = parent

    def made(self, name: str, make: Callable[[Path], None]) -> Path:
        """The path ``name`` in it; where it is not there, ``make`` makes it, whole or not at all.

        ``make`` gets a path that is not there yet, on the same file system, and may ask for other names.
        `Lacking` where it may not be written to, by a plain user after root, say.
        """
        path = self.directory / name
        if not path.exists():
            try:
                self._make(path, make)
            except PermissionError as error:
                raise Lacking(f"may not make {path}: {error}") from error
        return path

    def _make(self, path: Path, make: Callable[[Path], None]) -> None:
        if not self.directory.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            self._remove_others()
        lock = os.open(self.directory / f".{path.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                new = self.directory / f".{path.name}.new"
                _remove(new)
                make(new)
                new.rename(path)
        finally:
            os.close(lock)

    def _remove_others(self) -> None:
        for other in self._parent.iterdir():
            if other != self.directory:
                _remove(other)


def _remove(path: Path) -> None:
    """Removes what an earlier try or recipe left; refuses where something is mounted in it."""
    if path.is_dir() and not path.is_symlink():
        top = path.stat().st_dev
        for parent, directories, _ in os.walk(path):
            for name in directories:
                if os.lstat(os.path.join(parent, name)).st_dev != top:
                    raise RuntimeError(f"something is mounted at {os.path.join(parent, name)}")
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

"""Layers as tar archives, written by GNU tar: a tree as one, or divided by Debian package."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.parts.lacking import command


def pack(tree: Path, names: Iterable[bytes], archive: Path, *, sparse: bool = False) -> None:
    """Archives these names of a tree, and nothing below them, as tar(5) with PAX headers.

    Owners are numbers; times are kept to the nanosecond, and all extended attributes. Holes are kept only if
    ``sparse``: buildah 1.28 and podman 4.3 cannot write such a layer out again.
    """
    subprocess.run(
        [
            command("tar"),
            "--create",
            f"--file={archive}",
            f"--directory={tree}",
            "--format=posix",
            "--pax-option=delete=atime,delete=ctime",
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
            *["--sparse"] * sparse,
            "--no-recursion",
            "--null",
            "--files-from=-",
        ],
        input=b"\0".join(names),
        check=True,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
    )


def names_below(tree: Path) -> list[bytes]:
    """The names of all that is in a tree, sorted, directories before what is in them; not the tree itself."""
    top = os.fsencode(tree)
    found = []
    for parent, directories, files in os.walk(top):
        found += [os.path.relpath(os.path.join(parent, name), top) for name in directories + files]
    return sorted(found)


class Packages:
    """Which package of a Debian root file system each file is of (dpkg-query(1), ``info/*.list``)."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._owner: dict[bytes, str] = {}
        self._moved = {
            os.fsencode(entry.name): os.fsencode(os.readlink(entry.path)).strip(b"/")
            for entry in os.scandir(tree)
            if entry.is_symlink()
        }
        for listing in sorted((tree / "var/lib/dpkg/info").glob("*.list")):
            package = listing.stem.partition(":")[0]
            for line in listing.read_bytes().splitlines():
                self._owner.setdefault(self._place(line.strip(b"/.")), package)

    def _place(self, name: bytes) -> bytes:
        """Where a packaged name is, now that /bin and the like are links to /usr/bin."""
        first, slash, rest = name.partition(b"/")
        return self._moved.get(first, first) + slash + rest if slash else name

    def divided(self, patterns: Iterable[str]) -> list[list[bytes]]:
        """The names of the tree in as many heaps as there are patterns, and a first one of what none matches.

        A pattern is of package names, matched whole. Names of one file stay together. Each heap holds the
        directories that lead to its files, as a layer does.
        """
        compiled = [re.compile(pattern) for pattern in patterns]
        heaps: list[set[bytes]] = [set() for _ in range(len(compiled) + 1)]
        together: dict[int, int] = {}
        for name in names_below(self._tree):
            package = self._owner.get(name, "")
            number = next((i for i, one in enumerate(compiled, 1) if one.fullmatch(package)), 0)
            status = os.lstat(os.path.join(os.fsencode(self._tree), name))
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                number = together.setdefault(status.st_ino, number)
            heaps[number].add(name)
            while name := os.path.dirname(name):
                heaps[number].add(name)
        heaps[0].add(b".")
        return [sorted(heap) for heap in heaps]

    def all(self) -> list[str]:
        """The packages that have files."""
        return sorted(set(self._owner.values()))

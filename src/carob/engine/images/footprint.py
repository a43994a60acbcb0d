"""What the images take on disk, asked again and again: an unpacked layer never changes, so each is measured
once.
"""

from __future__ import annotations

import os

from carob.image.layers.trees import Trees
from carob.image.store.layout import Layout

_BLOCK_BYTES = 512
_DIGEST_LETTERS = 64
"""An unpacked layer is called so; what is only being unpacked is below ``.tmp``."""


class Footprint:
    """The images of one data directory. Not for use by several threads at once."""

    def __init__(self, directory: str) -> None:
        self._blobs = f"{Layout(directory + '/images').path}/blobs/sha256"
        self._layers = Trees(directory).layers
        self._measured: dict[str, tuple[int, int]] = {}

    def measure(self) -> tuple[int, int]:
        """The bytes and the inodes of all blobs and unpacked layers; what comes or goes meanwhile is counted
        or not. Raises ``OSError``.
        """
        used_bytes, inodes = _tree(self._blobs)
        names = set(_names(self._layers))
        self._measured = {name: found for name, found in self._measured.items() if name in names}
        for name in names:
            found = self._measured.get(name)
            if found is None:
                found = _tree(f"{self._layers}/{name}")
                if len(name) == _DIGEST_LETTERS:
                    self._measured[name] = found
            used_bytes += found[0]
            inodes += found[1]
        return used_bytes, inodes


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _tree(path: str) -> tuple[int, int]:
    """What a directory with all in it takes: bytes, inodes. Several links to a file count once."""
    seen: set[int] = set()
    try:
        blocks = os.lstat(path).st_blocks
    except FileNotFoundError:
        return 0, 0
    inodes, waiting = 1, [path]
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except (FileNotFoundError, NotADirectoryError):
            continue
        with entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif status.st_nlink > 1:
                    if status.st_ino in seen:
                        continue
                    seen.add(status.st_ino)
                blocks += status.st_blocks
                inodes += 1
    return blocks * _BLOCK_BYTES, inodes

"""Stores that are new each time, and out of the way when what was measured on them is over, off the clock.

Their files are emptied, not removed: that is for the end of all. On an ext4 without a journal whoever makes a
file looks at every inode that was freed in the last minutes, and passes it over; after the removal of some
stores it would be that search that is measured.
"""

from __future__ import annotations

import os
import stat
import time

from carob.image.files.rooted import DIRECTORY
from carob.linux.syscall import syncfs


class Places:
    """Hands out paths that are not there yet, below one directory that is removed by whoever made it."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        os.makedirs(directory, mode=0o700, exist_ok=True)

    def new(self) -> str:
        """Another path; nothing of what was done before waits to be written when this returns."""
        write_back(self._directory)
        return os.path.join(self._directory, os.urandom(3).hex())

    def drop(self, path: str) -> None:
        """Gives back the space that a directory takes, if it is there, and keeps its inodes."""
        if not os.path.lexists(path):
            return
        dropped = f"{path}.dropped"
        os.rename(path, dropped)
        for directory, _, names in os.walk(dropped):
            for name in names:
                file = os.path.join(directory, name)
                if stat.S_ISREG(os.lstat(file).st_mode):
                    os.truncate(file, 0)


def write_back(path: str) -> float:
    """Writes back what waits in the file system of a directory (syncfs(2)); how many milliseconds it took."""
    start = time.perf_counter()
    fd = os.open(path, DIRECTORY)
    try:
        syncfs(fd)
    finally:
        os.close(fd)
    return (time.perf_counter() - start) * 1e3

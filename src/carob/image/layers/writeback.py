"""Writing layers back while they are unpacked: else the disk idles, and is waited for at the end."""

from __future__ import annotations

import os
import threading

from carob.image.files.rooted import DIRECTORY
from carob.linux.syscall import syncfs

_INTERVAL_S = 0.3


class WriteBack:
    """Writes the file system of ``directory`` back again and again, until ``close``.

    What must be on disk is still to be synced at the end: this only sees to it that little is left then.
    """

    def __init__(self, directory: str) -> None:
        self._fd = os.open(directory, DIRECTORY)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="carob-write-back", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.wait(_INTERVAL_S):
            try:
                syncfs(self._fd)
            except OSError:
                return  # the sync that counts will say it

    def close(self) -> None:
        """Ends it; a second call does nothing."""
        if self._fd >= 0:
            self._is_over.set()
            self._thread.join()
            os.close(self._fd)
            self._fd = -1

"""Bytes on their way to something slow: whoever brings them waits while there are enough."""

from __future__ import annotations

import asyncio
from collections import deque

ENOUGH_BYTES = 262144


class Inlet:
    """A queue of bytes for one reader."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._has_ended = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def put(self, data: bytes) -> None:
        """Adds bytes, however many there are."""
        if data and not self._has_ended:
            self._pieces.append(data)
            self._held_bytes += len(data)
            self._filled.set()
            if self._held_bytes >= ENOUGH_BYTES:
                self._emptied.clear()

    def end(self) -> None:
        """No more will come; what is there is still read."""
        self._has_ended = True
        self._filled.set()

    def drop(self) -> None:
        """Nobody reads any more: what is there goes, and so does what comes."""
        self._pieces.clear()
        self._held_bytes = 0
        self._emptied.set()
        self.end()

    async def get(self) -> bytes:
        """All that is there, as soon as there is something; ``b""`` at the end."""
        while not self._pieces and not self._has_ended:
            self._filled.clear()
            await self._filled.wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._held_bytes = 0
        self._emptied.set()
        return data

    async def room(self) -> None:
        """Waits while there is enough."""
        await self._emptied.wait()

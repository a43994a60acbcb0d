"""The resize stream: JSON objects with ``Width`` and ``Height``, one after the other, cut anywhere."""

from __future__ import annotations

import json

from carob.service.streaming.events import Resized

_MOST_HELD = 1024
_MOST = 65535


class SizeReader:
    """Parts them again. What is no size is passed over: the session is not worth less for it."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def read(self, data: bytes) -> list[Resized]:
        """The sizes that these bytes complete."""
        self._held += data.decode("utf-8", "replace")
        sizes = []
        while "}" in self._held:
            text, _, self._held = self._held.partition("}")
            size = _size(text + "}")
            if size is not None:
                sizes.append(size)
        if len(self._held) > _MOST_HELD:
            self._held = ""
        return sizes


def _size(text: str) -> Resized | None:
    try:
        size = json.loads(text)
        columns, rows = int(size["Width"]), int(size["Height"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if not (0 < columns <= _MOST and 0 < rows <= _MOST):
        return None
    return Resized(rows, columns)

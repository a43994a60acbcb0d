"""What is left to do of a layer that is unpacked, when those below it are there."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Unsettled:
    """What a layer's archive says about the layers below.

    - ``whiteouts``: (directory as the archive names it, name) of what is deleted.
    - ``opaque``: directories that hide those below; ``b""`` is the layer's root.
    - ``implied``: directories that no entry names, the outermost first.
    """

    __slots__ = ("implied", "opaque", "whiteouts")

    def __init__(self) -> None:
        self.whiteouts: list[tuple[bytes, bytes]] = []
        self.opaque: list[bytes] = []
        self.implied: list[bytes] = []

    def document(self) -> dict[str, Any]:
        """This as JSON may have it."""
        return {
            "whiteouts": [(os.fsdecode(parent), os.fsdecode(name)) for parent, name in self.whiteouts],
            "opaque": [os.fsdecode(path) for path in self.opaque],
            "implied": [os.fsdecode(path) for path in self.implied],
        }

    @classmethod
    def of(cls, document: dict[str, Any]) -> Unsettled:
        """What ``document`` was made of."""
        made = cls()
        made.whiteouts = [(os.fsencode(parent), os.fsencode(name)) for parent, name in document["whiteouts"]]
        made.opaque = [os.fsencode(path) for path in document["opaque"]]
        made.implied = [os.fsencode(path) for path in document["implied"]]
        return made

"""How large the log of an app may become."""

from __future__ import annotations

from carob.engine.request import inputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEAST_BYTES = 4096
_MOST_BYTES = 1 << 50
_MOST_FILES = 1000


class LogLimits:
    """A log file that has reached ``max_bytes`` is put aside, and at most ``max_files`` are kept of each app.

    What was oldest is lost then. A log without limits grows as long as the disk takes it.
    """

    __slots__ = ("max_bytes", "max_files")

    def __init__(self, max_bytes: int, max_files: int = 5) -> None:
        """Raises ``InvalidInput``."""
        self.max_bytes = inputs.whole(max_bytes, "max_bytes of a log", LEAST_BYTES, _MOST_BYTES)
        self.max_files = inputs.whole(max_files, "max_files of a log", 1, _MOST_FILES)

    def __repr__(self) -> str:
        return f"LogLimits({self.max_bytes}, {self.max_files})"

    def planned(self) -> dict[str, Any]:
        """As init is told of it (``carob.logs.rotation``)."""
        return {"max_bytes": self.max_bytes, "max_files": self.max_files}

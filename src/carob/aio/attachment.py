"""The input of a running app, on the loop."""

from __future__ import annotations

from carob.aio.waits import writable
from carob.engine.request import inputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from carob.engine.steer.attachment import Attachment as Blocking


class Attachment:
    """``carob.engine.steer.attachment.Attachment`` for an event loop; use it in an ``async with`` block."""

    def __init__(self, blocking: Blocking) -> None:
        self.app = blocking.app
        self.tty = blocking.tty
        self._blocking = blocking

    async def __aenter__(self) -> Attachment:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def write(self, data: bytes) -> None:
        """Hands all of it to the app, and waits while that is slow to read. Raises as the blocking one."""
        rest = memoryview(inputs.payload(data, "data"))
        while rest:
            rest = rest[self._blocking.feed(rest) :]
            if rest:
                await writable(self._blocking.fileno())

    def resize(self, size: tuple[int, int]) -> None:
        """Gives the app's terminal this size: rows and columns."""
        self._blocking.resize(size)

    def close(self) -> None:
        """Lets go of the app."""
        self._blocking.close()

"""Ports here that lead into a pod, for programs with an event loop."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from carob.aio.steps import Steps
    from carob.engine.forward.port_forward import PortForward as BlockingForward


class PortForward:
    """``carob.PodHandle.port_forward`` for ``async with``; ``ports`` are the (address, port) pairs here."""

    def __init__(self, blocking: BlockingForward, steps: Steps) -> None:
        self.ports = blocking.ports
        self._blocking = blocking
        self._steps = steps

    def __repr__(self) -> str:
        return repr(self._blocking)

    async def close(self) -> None:
        """Ends it, with all connections."""
        await self._steps.carry_out(self._blocking.close)

    async def __aenter__(self) -> PortForward:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

"""``PortForward``: what the library hands out while ports of a pod are forwarded."""

from __future__ import annotations

import threading

from carob.engine.forward import spec as forward_spec
from carob.engine.forward.ports import Forwarder
from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from carob.pod import Pod


class PortForward:
    """Ports here that lead into a pod, until ``close``, the end of a ``with`` block, or the pod's end.

    ``ports`` are the (address, port) pairs here, in the order in which they were asked for. One thread of
    this process does the work.
    """

    def __init__(self, pod: Pod, ports: Sequence[str]) -> None:
        """Raises ``InvalidInput``, ``Unavailable`` where the pod does not run, ``Conflict``."""
        if isinstance(ports, str) or not ports:
            raise InvalidInput("no port to forward was given", hint='such as port_forward("8080:80")')
        self._forwarder = Forwarder(pod.fd(), str(pod.uuid), tuple(map(forward_spec.parse, ports)))
        self.ports = tuple(self._forwarder.ports)
        self._thread = threading.Thread(target=self._forwarder.run, name="carob-forward", daemon=True)
        self._closed = False
        try:
            self._thread.start()
        except BaseException:
            self._forwarder.close()
            raise

    def __repr__(self) -> str:
        return f"<PortForward {', '.join(f'{address}:{port}' for address, port in self.ports)}>"

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until the pod has ended and the last bytes were passed on; False after the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Ends it, with all connections."""
        if not self._closed:
            self._closed = True
            self._forwarder.stop()
            self._thread.join()
            self._forwarder.close()

    def __enter__(self) -> PortForward:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

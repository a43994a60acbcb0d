"""The input of a running app, for who attaches to it: the writing end of its pipe, or its terminal.

Its output is read from its log (``PodHandle.log_batches``): whoever attaches sees the same, and all of it.
"""

from __future__ import annotations

import os
import select

from carob.engine.observe.plan import read_plan
from carob.engine.request import inputs
from carob.errors import Conflict
from carob.pod import open_pod
from carob.protocol import life
from carob.supervisor.client import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from carob.pod import Pod

_ANSWER_S = 60.0
_CHUNK_BYTES = 65536
_OVER = select.POLLERR | select.POLLHUP


def input_modes(pod: Pod) -> dict[str, str]:
    """How each app of the pod reads, by its name."""
    apps = read_plan(pod)["apps"]
    return {app["name"]: app.get("streams", {}).get("stdin", life.NULL) for app in apps}


class Attachment:
    """Attached to an app; use it in a ``with`` block. ``tty``: the app has a terminal.

    Several may be attached to one app. Where the app is started again, what is written goes to its new run.
    Closing it leaves the app alone; but what was attached with ``once`` is the input's end then.
    """

    def __init__(self, data_dir: str, uuid: str, app: str, *, once: bool) -> None:
        """Raises ``Conflict`` where the app does not run, or reads nothing."""
        self.app = app
        self._data_dir = data_dir
        self._uuid = uuid
        self._once = once
        self._descriptor = -1
        self.tty = False
        self._attach()

    def _attach(self) -> None:
        with (
            open_pod(self._data_dir, self._uuid) as pod,
            Connection(pod.fd(), self._uuid, _ANSWER_S) as connection,
        ):
            connection.send({"op": "attach", "app": self.app, "once": self._once})
            answer, received = connection.receive()
        if not received:
            raise Conflict(
                f"app {self.app} of pod {self._uuid} reads nothing",
                hint="apps with --interactive, --tty or --stdin=stream do",
            )
        self.close()
        self._descriptor = received[0]
        self.tty = bool(answer["tty"])
        os.set_blocking(self._descriptor, False)

    def __enter__(self) -> Attachment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor, which does not block; not for reading: the log has what a terminal shows."""
        return self._descriptor

    def write(self, data: bytes) -> None:
        """Hands all of it to the app, and waits while that is slow to read.

        ``Conflict`` where the app does not run any more, ``Unavailable`` where the pod is over.
        """
        rest = memoryview(inputs.payload(data, "data"))
        while rest:
            rest = rest[self.feed(rest) :]
            if rest:
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()

    def feed(self, data: memoryview) -> int:
        """Hands over what the app takes at once; how many bytes that is. Raises as ``write`` does."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if any(event & _OVER for _, event in poll.poll(0)):
            self._attach()
        try:
            return os.write(self._descriptor, data[:_CHUNK_BYTES])
        except (BlockingIOError, BrokenPipeError):
            return 0

    def resize(self, size: tuple[int, int]) -> None:
        """Gives the app's terminal this size: rows and columns."""
        from carob.linux import terminal

        terminal.set_size(self._descriptor, *inputs.terminal_size(size))

    def close(self) -> None:
        """Lets go of the app."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

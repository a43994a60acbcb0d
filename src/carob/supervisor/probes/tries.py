"""One try of a probe, as init sees it: begun, answered or given up, and over once nothing of it is left."""

from __future__ import annotations

import os

from carob.protocol import probing
from carob.supervisor.executions import kill_all
from carob.supervisor.probes.dial import Dial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from carob.supervisor.apps import App
    from carob.supervisor.init import Init
    from carob.supervisor.probes.helper import Helper

_READ_BYTES = 1 << 16
_CANNOT_BE_FOUND = (126, 127)


class Try:
    """``answer`` is (ok, reason) once it is known; ok is ``None`` where nobody could tell. ``over``: all of
    it is gone. ``deadline`` is until when it is waited for (monotonic clock, s); of one that is ``stale``,
    which was given up and is still there, that is for its place, and ``None`` where nobody wants that.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline: float | None = deadline
        self.stale = False
        self.answer: tuple[bool | None, str] | None = None
        self.over = False

    def told(self, verdict: str | None) -> None:
        """What a conversation came to."""
        self.over = True
        if verdict is None:
            self.answer = None, "the process that tries probes has died"
        else:
            self.answer = not verdict, verdict

    def give_up(self) -> None:
        """Ends it without an answer."""


class Connect(Try):
    """A TCP connection, by init itself."""

    def __init__(self, init: Init, probe: Mapping[str, Any], deadline: float) -> None:
        super().__init__(deadline)
        self._dial = Dial(init, probe["address"], probe["port"], None, self.told)

    def give_up(self) -> None:
        self._dial.close()
        self.over = True


class Ask(Try):
    """HTTP or gRPC, by the helper."""

    def __init__(self, helper: Helper, probe: Mapping[str, Any], deadline: float) -> None:
        super().__init__(deadline)
        self._helper = helper
        self._number = helper.ask(probe, self.told)

    def give_up(self) -> None:
        self._helper.give_up(self._number)
        self.over = True


class Execute(Try):
    """A program in the app. Of what it writes the beginning is kept, and the rest taken all the same."""

    def __init__(self, init: Init, app: App, probe: Mapping[str, Any], deadline: float) -> None:
        super().__init__(deadline)
        self._init = init
        self._said = b""
        self._output, writing = os.pipe2(os.O_CLOEXEC)
        null = -1
        try:
            os.set_blocking(self._output, False)
            null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            given = [null, writing, writing]
            self._execution = init.control.executions.begin(self._hear, app, probe["argv"], given)
        except BaseException:
            os.close(self._output)
            raise
        finally:
            os.close(writing)
            if null >= 0:
                os.close(null)
        init.watch(self._output, self._listen)

    def _listen(self) -> None:
        """Takes a piece of its output."""
        try:
            data = os.read(self._output, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._init.forget(self._output)
        self._said += data[: probing.LONGEST_REASON - len(self._said)]

    def _hear(self, answer: dict[str, Any]) -> None:
        event = answer["event"]
        if event == "started":
            return
        self._listen()
        self._close()
        if event == "ended":
            self.answer = answer.get("code") == 0, self._told_end(answer)
        elif answer["code"] in _CANNOT_BE_FOUND:
            self.answer = False, answer["message"]
        else:  # such as an app that is just ending: nothing is known of it
            self.answer = None, answer["message"]

    def _told_end(self, answer: dict[str, Any]) -> str:
        if answer.get("code") == 0:
            return ""
        end = f"exit code {answer['code']}" if "code" in answer else f"killed by signal {answer['signal']}"
        said = " ".join(self._said.decode("utf-8", "replace").split())
        return f"{end}: {said}" if said else end

    def _close(self) -> None:
        if not self.over:
            self.over = True
            self._init.forget(self._output)
            os.close(self._output)

    def give_up(self) -> None:
        """Kills it with all that descends from it; it is over when it has been reaped."""
        self._init.control.executions.abandon(self._execution)
        if self._execution.pid:
            kill_all(self._execution.pid)

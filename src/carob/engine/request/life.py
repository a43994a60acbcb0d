"""How an app lives in its pod: when it starts, whether again, how it is ended, what it reads and writes."""

from __future__ import annotations

from carob.engine.request import inputs, signals
from carob.errors import InvalidInput
from carob.protocol import life

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal, TypedDict

    from carob.engine.request.probes import Probe

    Role = Literal["init", "main", "sidecar"]
    Input = Literal["null", "stream", "tty"]
    Output = Literal["log", "stream", "null", "tty"]

    class LifeOptions(TypedDict, total=False):
        """What ``App`` takes of it; ``Life`` says what each means."""

        role: Role
        restart: str
        stop_signal: str | int | None
        stop_timeout_s: float | None
        stdin: Input
        stdout: Output
        stderr: Output
        startup: Probe | None
        liveness: Probe | None
        readiness: Probe | None


ROLES = (life.INIT, life.MAIN, life.SIDECAR)
INPUTS = (life.NULL, life.STREAM, life.TTY)
OUTPUTS = (life.LOG, life.STREAM, life.NULL, life.TTY)
# Other engines' words. Nothing starts carob's pods after a boot, so "unless-stopped" has nothing to add.
_POLICIES = {"no": life.NEVER, "unless-stopped": life.ALWAYS}
_MOST_RESTARTS = 1_000_000
_STREAMS = {"stdin": life.NULL, "stdout": life.LOG, "stderr": life.LOG}

ROLE = "carob/role"
RESTART = "carob/restart"
STOP_SIGNAL = "carob/stop-signal"
STOP_TIMEOUT = "carob/stop-timeout"
PROBES = "carob/probes"
STREAM = "coreos.com/rkt/stage2/"
LOG_PATH = "carob/log-path"
"""The manifest's annotations of an app; rkt has those of streams."""
NOTED = (ROLE, RESTART, STOP_SIGNAL, STOP_TIMEOUT, PROBES, *(STREAM + name for name in _STREAMS))


class Life:
    """The values, checked.

    - ``role``: ``main``; ``init`` runs to its end before those that are not init apps; ``sidecar`` is started
      before the main apps, stopped after them, and does not keep the pod alive.
    - ``restart``: ``never``, ``on-failure``, ``on-failure:5`` (so often at most) or ``always``, with growing
      pauses between. An init app that ended well is done in any case.
    - ``stop_signal``: by name or number, instead of the image's; ``stop_timeout_s``: the time between it and
      SIGKILL, instead of the pod's ``grace_s``.
    - ``stdin``: ``null``, or ``stream`` or ``tty``, to which one can attach. ``stdout`` and ``stderr``:
      ``log`` or ``null``; ``stream`` is kept in the log as well. ``tty`` is for all three.
    - ``startup``, ``liveness``, ``readiness``: whether it has started, lives, and is ready
      (``carob.engine.request.probes``). Until it has started the other two are not tried; one that has not,
      or does not live, is ended, and starts again where ``restart`` says so.
    """

    __slots__ = ("most_restarts", "probes", "restart", "role", "stop_signal", "stop_timeout_s", "streams")

    def __init__(
        self,
        *,
        role: Role = "main",
        restart: str = "never",
        stop_signal: str | int | None = None,
        stop_timeout_s: float | None = None,
        stdin: Input = "null",
        stdout: Output | None = None,
        stderr: Output | None = None,
        startup: Probe | None = None,
        liveness: Probe | None = None,
        readiness: Probe | None = None,
    ) -> None:
        self.role = _one_of(role, ROLES, "role")
        self.restart, self.most_restarts = _restart(restart)
        self.stop_signal = None if stop_signal is None else signal_number(stop_signal, "a stop signal")
        self.stop_timeout_s = stop_timeout_s
        if stop_timeout_s is not None:
            self.stop_timeout_s = inputs.seconds(stop_timeout_s, "stop_timeout_s", inputs.LONGEST_GRACE_S)
        given = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        self.streams = _streams({name: mode for name, mode in given.items() if mode is not None})
        probes = {"startup": startup, "liveness": liveness, "readiness": readiness}
        self.probes = {of: probe for of, probe in probes.items() if probe is not None}
        if self.probes:
            from carob.engine.request.probes import check

            check(self.probes, role)

    def planned(self) -> dict[str, Any]:
        """The launch plan's part of it: what is not the default. Probes are
        ``carob.engine.prepare.probes``'s.
        """
        found: dict[str, Any] = {}
        if self.role != life.MAIN:
            found["role"] = self.role
        if self.restart != life.NEVER:
            found["restart"] = {"when": self.restart, "most": self.most_restarts}
        if self.stop_signal is not None:
            found["stop_signal"] = self.stop_signal
        if self.stop_timeout_s is not None:
            found["grace_s"] = self.stop_timeout_s
        if self.streams != _STREAMS:
            found["streams"] = self.streams
        return found

    def annotations(self) -> dict[str, str]:
        """The same as the manifest tells it."""
        found: dict[str, str] = {}
        if self.role != life.MAIN:
            found[ROLE] = self.role
        if self.restart != life.NEVER:
            most = "" if self.most_restarts is None else f":{self.most_restarts}"
            found[RESTART] = self.restart + most
        if self.stop_signal is not None:
            found[STOP_SIGNAL] = str(self.stop_signal)
        if self.stop_timeout_s is not None:
            found[STOP_TIMEOUT] = repr(self.stop_timeout_s)
        for name, mode in self.streams.items():
            if mode != _STREAMS[name]:
                found[STREAM + name] = mode
        if self.probes:
            from carob.engine.request.probes import annotation

            found[PROBES] = annotation(self.probes)
        return found


def from_annotations(noted: Mapping[str, str]) -> LifeOptions:
    """What a manifest's app says of it. Raises ``InvalidInput``."""
    found: Any = {"role": noted.get(ROLE, life.MAIN), "restart": noted.get(RESTART, life.NEVER)}
    if STOP_SIGNAL in noted:
        found["stop_signal"] = noted[STOP_SIGNAL]
    if STOP_TIMEOUT in noted:
        try:
            found["stop_timeout_s"] = float(noted[STOP_TIMEOUT])
        except ValueError:
            raise InvalidInput(
                f"{STOP_TIMEOUT} is a number of seconds, not {noted[STOP_TIMEOUT]!r}"
            ) from None
    found.update({name: noted[STREAM + name] for name in _STREAMS if STREAM + name in noted})
    if PROBES in noted:
        from carob.engine.request.probes import from_annotation

        found.update(from_annotation(noted[PROBES], PROBES))
    options: LifeOptions = found
    return options


def signal_number(signal: object, what: str) -> int:
    """A signal given by name or number. Raises ``InvalidInput``."""
    if not isinstance(signal, str):
        return inputs.whole(signal, what, 1, inputs.LAST_SIGNAL)
    found = signals.number(signal)
    if found is None:
        raise InvalidInput(f"there is no signal {signal!r}", hint="such as SIGTERM, TERM, 15 or RTMIN+3")
    return found


def _one_of(value: str, known: tuple[str, ...], what: str) -> str:
    if value not in known:
        raise InvalidInput(f"{what} is {', '.join(known[:-1])} or {known[-1]}, not {value!r}")
    return value


def _restart(text: str) -> tuple[str, int | None]:
    name, colon, most = inputs.text(text, "a restart policy").partition(":")
    name = _POLICIES.get(name, name)
    if name not in (life.NEVER, life.ON_FAILURE, life.ALWAYS) or (colon and name != life.ON_FAILURE):
        raise InvalidInput(
            f"{text!r} is no restart policy", hint="use never, on-failure, on-failure:TIMES or always"
        )
    if not colon:
        return name, None
    if not most.isascii() or not most.isdecimal() or len(most) > 7 or not 0 < int(most) <= _MOST_RESTARTS:
        raise InvalidInput(f"{text!r}: how often is a number from 1 to {_MOST_RESTARTS}")
    return name, int(most)


def _streams(given: Mapping[str, str]) -> dict[str, str]:
    for name, mode in given.items():
        _one_of(mode, INPUTS if name == "stdin" else OUTPUTS, name)
    if life.TTY not in given.values():
        return {**_STREAMS, **given}
    for name, mode in given.items():
        if mode not in (life.TTY, _STREAMS[name]):
            raise InvalidInput(
                f"{name} is {mode}, but there is one terminal for all three streams", hint=f"leave {name} out"
            )
    return dict.fromkeys(_STREAMS, life.TTY)

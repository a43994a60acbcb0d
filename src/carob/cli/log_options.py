"""``--log-opt``, as docker and podman have it."""

from __future__ import annotations

from carob.cli.options import Arguments, Option, UsageError
from carob.cli.values import count
from carob.engine.request.log_limits import LogLimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.settings import Settings

LOG_OPT = Option(
    "--log-opt",
    "bound the apps' logs: max-size=SIZE of a file (such as 10m), max-file=COUNT",
    "NAME=VALUE",
    many=True,
)
LOG_DRIVER = Option(
    "--log-driver",
    "where the apps' output goes: a journal as well, or the log files alone (default)",
    "DRIVER",
    choices=("k8s-file", "journald"),
)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def log_limits(arguments: Arguments, settings: Settings) -> LogLimits | None:
    """The limits that were asked for, or are configured; ``None`` for none. Raises ``UsageError``."""
    max_bytes, max_files = (int(settings.value(f"logs.{name}")) for name in ("max_bytes", "max_files"))
    for text in arguments.texts(LOG_OPT.name):
        name, _, value = text.partition("=")
        if name == "max-size":
            max_bytes = _size_bytes(value)
        elif name in ("max-file", "max-files"):
            max_files = count(value, f"--log-opt {name}")
        else:
            raise UsageError(f"--log-opt has no {name!r}", hint="max-size=SIZE or max-file=COUNT")
    return LogLimits(max_bytes, max_files) if max_bytes else None


def _size_bytes(text: str) -> int:
    """``10m``, ``64k``, ``1g`` or a number of bytes; ``-1`` and ``0`` stand for no limit, as in docker."""
    if text in ("-1", "0"):
        return 0
    lowered = text.lower().removesuffix("b").removesuffix("i")
    number = lowered.rstrip("kmg")
    unit = _UNITS.get(lowered[len(number) :])
    if unit is None:
        raise UsageError(f"--log-opt max-size: {text!r} is no size", hint="such as 10m or 1g")
    return count(number, "--log-opt max-size") * unit

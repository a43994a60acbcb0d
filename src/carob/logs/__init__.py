"""Log files of apps, in the format that Kubernetes reads: writing, reading, following.

The names below are loaded when they are first asked for. ``carob.logs.follow.follow`` is not among them,
because a module has that name; the pod's init takes ``carob.logs.writer`` alone.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.logs.entry import MALFORMED, LogEntry
    from carob.logs.format import STDERR, STDOUT
    from carob.logs.reader import output, read_entries, text
    from carob.logs.watch import LogWatch
    from carob.logs.writer import LogWriter

__all__ = [
    "MALFORMED",
    "STDERR",
    "STDOUT",
    "LogEntry",
    "LogWatch",
    "LogWriter",
    "output",
    "read_entries",
    "text",
]

_MODULE = {
    "MALFORMED": "entry",
    "STDERR": "format",
    "STDOUT": "format",
    "LogEntry": "entry",
    "LogWatch": "watch",
    "LogWriter": "writer",
    "output": "reader",
    "read_entries": "reader",
    "text": "reader",
}


def __getattr__(name: str) -> object:
    module = _MODULE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

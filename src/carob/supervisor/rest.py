"""A monitor at rest: who only waits needs no interpreter.

A pod that has run for a while is kept by a shell, of 0.1 MB, in place of a Python of 2.6: the monitor becomes
``/bin/sh`` and stays the same process, with the same child, the lock, and the sockets of published ports. The
shell waits in ``read`` for the end of the link to init, or for SIGTERM, and becomes a monitor again, which is
given what it knew, and the first letter of each thing that init said meanwhile.

Where the interpreter or carob is gone by then, the shell's end lets go of the lock, and gc does what is left.
"""

from __future__ import annotations

import os
from _signal import SIG_BLOCK, SIG_UNBLOCK, SIGCHLD, pthread_sigmask
from fcntl import F_DUPFD, fcntl

from carob.protocol.compact_json import dumps, loads
from carob.supervisor.boot import package_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AFTER_S = 10.0
"""A monitor rests when nothing has happened for so long."""
LINK = 3  # a shell's redirections have one digit
TERMINATE = "t"
VERSION = 1

_SHELL = "/bin/sh"
_LOWEST = 10  # a shell uses those below
# ``read`` takes a byte at a time, and of a packet what is not taken is lost. A second SIGTERM does no harm.
_SCRIPT = (
    f"""trap 'trap "" TERM; exec "$@" {TERMINATE}' TERM; """
    f"""read -r said <&{LINK}; trap "" TERM; exec "$@" "$said\""""
)
_PROGRAM = (
    "import sys; sys.path.append({root!r}); from carob.supervisor import monitor; "
    "monitor.resume(*sys.argv[1:])"
)


def command() -> list[str]:
    """What the shell becomes: to be asked for while the interpreter is sure to be there."""
    return [os.readlink("/proc/self/exe"), "-I", "-S", "-c", _PROGRAM.format(root=package_root())]


def rest(argv: list[str], link: int, kept: dict[str, list[int]], known: dict[str, Any]) -> None:
    """Becomes the shell; returns only where that cannot be.

    ``kept`` are descriptors by name and ``known`` values for JSON: ``wake`` gives both back.
    """
    moved: dict[str, list[int]] = {}
    try:
        moved = {name: [fcntl(one, F_DUPFD, _LOWEST) for one in given] for name, given in kept.items()}
        os.dup2(link, LINK)
        # A shell that heard of init's end would reap it, and nobody could tell how it ended.
        pthread_sigmask(SIG_BLOCK, [SIGCHLD])
        document = dumps({"version": VERSION, "kept": moved, **known})
        os.execve(_SHELL, ["carob-monitor", "-c", _SCRIPT, "sh", *argv, document], {"LC_ALL": "C.UTF-8"})
    except OSError:
        pthread_sigmask(SIG_UNBLOCK, [SIGCHLD])
        for one in [one for given in moved.values() for one in given]:
            os.close(one)


def wake(document: str) -> dict[str, Any]:
    """What was known, and ``kept``. Raises ``ValueError`` for what a carob yet to come has left."""
    pthread_sigmask(SIG_UNBLOCK, [SIGCHLD])
    known = loads(document)
    if known["version"] > VERSION:
        raise ValueError(f"the monitor that rested was of version {known['version']}; this one is {VERSION}")
    for one in (LINK, *[one for given in known["kept"].values() for one in given]):
        os.set_inheritable(one, False)
    return dict(known)

"""The console script: begins with what takes longest, and loads the rest beside it.

A supervisor takes 30 ms to come up, and the command 20 ms to load and to prepare a pod. So for ``carob run``
the supervisor is started before anything else, for the network and the runtime that the pod will have in
all likelihood; where it turns out otherwise, it ends unused.
"""

from __future__ import annotations

import sys

from carob.errors import CarobError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.launch.supervision import Supervision


def main() -> int:
    """Runs this process's command line and returns the exit status; nothing is raised."""
    begun = _begin(sys.argv[1:])
    from carob.cli.main import main

    return main(begun=begun)


def _begin(words: list[str]) -> Supervision | None:
    """The supervision of a ``run``, with one supervisor standing by."""
    verb = next((word for word in words if not word.startswith("-")), "")
    if verb not in ("run", "run-prepared") or "--help" in words:
        return None
    from carob.engine.launch.supervision import Supervision

    supervision = Supervision()
    try:
        supervision.stand_by(network=_likely_network(words))
    except (CarobError, OSError):
        return None  # said when the pod is to be started
    return supervision


def _likely_network(words: list[str]) -> str:
    """What the words ask a supervisor for, in all likelihood: ``none``, ``host``, or ``cni``."""
    for at, word in enumerate(words):
        if word in ("--", "-p", "--publish", "--port") or word.startswith(("--publish=", "--port=")):
            return "none" if word == "--" else "cni"
        if word == "--net" or word.startswith("--net="):
            name = word[6:] or "".join(words[at + 1 : at + 2])
            return name if name in ("none", "host") else "cni"
    return "none"

"""Where a supervisor begins: out of its caller's hands before anything else.

Started as ``python -I -S -c "…; main()" NETWORK RUNTIME`` in a session of its own, with the pod's supervisor
log as standard output and error and the launch channel as descriptor 3. It forks once at once: the
first process ends, the caller reaps it, and the monitor is nobody's child.
"""

from __future__ import annotations

import os
import sys
from _signal import SIG_DFL, SIGINT, signal

from carob.linux.syscall import close_range

CHANNEL = 3


def package_root() -> str:
    """What has to be on ``sys.path`` for ``import carob``: a directory, or a zip archive."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main() -> None:
    """Becomes the monitor; never returns."""
    signal(SIGINT, SIG_DFL)
    close_range(CHANNEL + 1, 0xFFFFFFFF)
    os.chdir("/")
    os.umask(0o022)
    caller = os.getppid()
    if os.fork():
        os._exit(0)
    from carob.supervisor import monitor

    network, runtime = sys.argv[1:3]
    monitor.main(CHANNEL, caller, network, runtime)

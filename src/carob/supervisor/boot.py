"""Where a supervisor begins: out of its caller's hands before anything else.

Started as ``python -I -S -c "…; main()" NETWORK RUNTIME`` in a session of its own, with a file in memory as
standard output and error, the launch channel as descriptor 3 and a pidfd that the caller made of itself
as 4 (its number may be another's by now). It forks twice at once, with next to nothing loaded: the
first process ends, the caller reaps it, and the monitor is nobody's child; the monitor makes init. The
two then load what each needs, and get ready, side by side.
"""

from __future__ import annotations

import os
import sys
from _signal import SIG_DFL, SIGINT, signal
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_SEQPACKET, socketpair

from carob.linux import namespaces
from carob.linux.syscall import close_range

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

CHANNEL = 3
CALLER = 4
_NAMESPACES = (
    namespaces.CLONE_NEWNS | namespaces.CLONE_NEWPID | namespaces.CLONE_NEWIPC | namespaces.CLONE_NEWUTS
)


def package_root() -> str:
    """What has to be on ``sys.path`` for ``import carob``: a directory, or a zip archive."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _pay_for_cgroups(monitor: int) -> NoReturn:
    """Ends the first process, after one write to a cgroup on the monitor's behalf.

    The first such write after some 10 ms of quiet waits for all processors, 5 to 17 ms; those that follow
    soon do not. So that wait passes here, beside the loading of monitor and init.
    """
    from carob.linux import cgroup

    try:
        cgroup.leave_to_root(monitor)
    finally:
        os._exit(0)


def main() -> None:
    """Becomes the monitor; never returns."""
    signal(SIGINT, SIG_DFL)
    close_range(CALLER + 1, 0xFFFFFFFF)
    os.chdir("/")
    os.umask(0o022)
    child = os.fork()
    if child:
        _pay_for_cgroups(child)
    for descriptor in (CHANNEL, CALLER):
        os.set_inheritable(descriptor, False)
    network, runtime = sys.argv[1:3]
    link, to_monitor = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
    flags = _NAMESPACES if network == "host" else _NAMESPACES | namespaces.CLONE_NEWNET
    pid, pidfd = namespaces.fork_into(flags)
    if pid == 0:
        link.close()
        os.close(CALLER)
        from carob.supervisor import init

        init.main(CHANNEL, to_monitor, network, runtime)
    to_monitor.close()
    from carob.supervisor import monitor

    monitor.main(CHANNEL, CALLER, monitor.Init(pid, pidfd, link))

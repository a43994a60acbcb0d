"""Where a supervisor begins: out of its caller's hands before anything else.

Started as ``python -I -S -c "…; main()" NETWORK RUNTIME KIND UIDS GIDS`` in a session of its own, with a file
in memory as standard output and error, the launch channel as descriptor 3 and a pidfd that the caller made of
itself as 4 (its number may be another's by now). It forks twice at once, with next to nothing loaded: the
first process ends, the caller reaps it, and the monitor is nobody's child; the monitor makes init. The
two then load what each needs, and get ready, side by side. For a pod with networks of its own the first
process makes one more, which attaches it to them. KIND is empty, ``host-pid`` for a pod among the host's
processes, and ``owned`` for one whose apps get a user namespace (``user_namespace``). UIDS and GIDS are the
owners of a user's pod, which is in one with its init (``owners``); empty for root.
"""

from __future__ import annotations

import os
import sys
from _signal import SIG_DFL, SIGINT, signal
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_SEQPACKET, socket, socketpair

from carob.linux import namespaces
from carob.linux.syscall import close_range
from carob.protocol.pod_network import CNI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

CHANNEL = 3
CALLER = 4
HOST_PID, OWNED = "host-pid", "owned"
_NAMESPACES = (
    namespaces.CLONE_NEWNS | namespaces.CLONE_NEWPID | namespaces.CLONE_NEWIPC | namespaces.CLONE_NEWUTS
)


def package_root() -> str:
    """What has to be on ``sys.path`` for ``import carob``: a directory, or a zip archive."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def channel_pair() -> tuple[socket, socket]:
    """Two connected ends, without what ``channel`` loads."""
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)


def _pay_for_cgroups(*made: int) -> NoReturn:
    """Ends the first process, after one write to a cgroup on behalf of those that it made.

    The first such write after some 10 ms of quiet waits for all processors, 5 to 17 ms; those that follow
    soon do not. So that wait passes here, beside the loading of monitor and init.
    """
    from carob.linux import cgroup

    try:
        cgroup.leave_to_root(*made)
    finally:
        os._exit(0)


def _start_attacher(monitors: socket, own: socket) -> int:
    """Makes what attaches the pod; it is nobody's child either, for a monitor has one child alone."""
    pid = os.fork()
    if pid == 0:
        monitors.close()
        from carob.supervisor import attaching

        attaching.become_attacher(own)
    return pid


def main() -> None:
    """Becomes the monitor; never returns. What hinders that is in the caller's file in memory."""
    try:
        _begin()
    except OSError as error:
        os.write(2, f"it could not be set up: {error.strerror or error}\n".encode())
        os._exit(1)


def _begin() -> None:
    signal(SIGINT, SIG_DFL)
    close_range(CALLER + 1, 0xFFFFFFFF)
    os.chdir("/")
    os.umask(0o022)
    network, runtime, kind, uids, gids = sys.argv[1:6]
    attaching = channel_pair() if network == CNI else None
    child = os.fork()
    if child:
        made = [child] if attaching is None else [child, _start_attacher(*attaching)]
        _pay_for_cgroups(*made)
    for descriptor in (CHANNEL, CALLER):
        os.set_inheritable(descriptor, False)
    link, to_monitor = channel_pair()
    flags = _NAMESPACES if network == "host" else _NAMESPACES | namespaces.CLONE_NEWNET
    if kind == HOST_PID:
        flags &= ~namespaces.CLONE_NEWPID
    elif kind == OWNED:  # init makes these together with the user namespace that they belong to
        flags = namespaces.CLONE_NEWNS | namespaces.CLONE_NEWPID
    if uids:
        flags |= namespaces.CLONE_NEWUSER
    pid, pidfd = namespaces.fork_into(flags)
    if pid == 0:
        for end in (link, *(attaching or ())):
            end.close()
        os.close(CALLER)
        from carob.supervisor import init

        init.main(CHANNEL, to_monitor, network, runtime, kind, has_owners=bool(uids))
    to_monitor.close()
    if uids:
        from carob.supervisor.owners import map_owners

        map_owners(pid, uids, gids)
        link.send(b"mapped")
    attacher = None
    if attaching is not None:
        from carob.supervisor.attaching import Attacher

        attaching[1].close()
        attacher = Attacher(attaching[0])
    from carob.supervisor import monitor

    monitor.main(CHANNEL, CALLER, monitor.Init(pid, pidfd, link), attacher)

"""Making a process in new namespaces (clone3(2)) and what a fresh one needs set."""

from __future__ import annotations

import os

from carob.linux import syscall as _sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_CLONE_PIDFD = 0x00001000
_SIGCHLD = 17

PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


def fork_into(flags: int) -> tuple[int, int]:
    """Forks into new namespaces; returns (pid, pidfd) in the parent and (0, -1) in the child.

    For processes of one thread only: the C library's fork handlers do not run, Python's do.
    """
    pidfd = bytearray(8)
    arguments = _sys.pointer_struct(
        (flags | _CLONE_PIDFD, _sys.address_of(pidfd), 0, 0, _SIGCHLD, 0, 0, 0, 0, 0, 0)
    )
    _sys.python_call("PyOS_BeforeFork")
    try:
        pid = _sys.syscall_holding_gil(_sys.SYS_CLONE3, arguments, len(arguments))
    except BaseException:
        _sys.python_call("PyOS_AfterFork_Parent")
        raise
    if pid == 0:
        _sys.python_call("PyOS_AfterFork_Child")
        return 0, -1
    _sys.python_call("PyOS_AfterFork_Parent")
    fd = int.from_bytes(pidfd[:4], "little")
    os.set_inheritable(fd, False)
    return pid, fd


def join(descriptor: int, kinds: int = 0) -> None:
    """Moves this process into the namespace behind an open ``/proc/<pid>/ns/<kind>``, or into those ``kinds``
    of the process behind a pidfd (setns(2), Linux 5.8).
    """
    _sys.syscall(_sys.SYS_SETNS, descriptor, kinds)


def own_mounts() -> None:
    """Gives this process, of one thread, a copy of its mount namespace (unshare(2))."""
    _sys.syscall(_sys.SYS_UNSHARE, CLONE_NEWNS)


def set_hostname(name: str) -> None:
    """Sets the host name of this UTS namespace (sethostname(2))."""
    raw = os.fsencode(name)
    _sys.syscall(_sys.SYS_SETHOSTNAME, raw, len(raw))


def set_process_name(name: str) -> None:
    """Sets the name that ps shows (prctl(2), PR_SET_NAME; 15 bytes)."""
    _sys.syscall(_sys.SYS_PRCTL, PR_SET_NAME, name)


def set_no_new_privileges() -> None:
    """No program that this process executes gives it more than it has (prctl(2))."""
    _sys.syscall(_sys.SYS_PRCTL, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def set_child_subreaper() -> None:
    """Makes orphans below this process its own children (prctl(2))."""
    _sys.syscall(_sys.SYS_PRCTL, PR_SET_CHILD_SUBREAPER, 1)


def open_network_to_all_users() -> None:
    """Lets every user of a new network namespace ping, and serve on ports below 1024 (ip(7), icmp(7)).

    Nobody else is in it, so it takes no capability for either. What a kernel has not got stays.
    """
    for name, value in (("ping_group_range", b"0 2147483647"), ("ip_unprivileged_port_start", b"0")):
        try:
            descriptor = os.open(f"/proc/sys/net/ipv4/{name}", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            os.write(descriptor, value)
        except OSError:
            continue
        finally:
            os.close(descriptor)


def bring_loopback_up() -> None:
    """Brings ``lo`` up in this network namespace (netdevice(7), SIOCSIFFLAGS)."""
    import _socket

    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 1
    with_name = b"lo".ljust(16, b"\0")
    control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        request = bytearray(with_name + bytes(24))
        _sys.ioctl(control.fileno(), siocgifflags, request)
        flags = int.from_bytes(request[16:18], "little") | iff_up
        request[16:18] = flags.to_bytes(2, "little")
        _sys.ioctl(control.fileno(), siocsifflags, request)
    finally:
        control.close()

"""Kernel parameters that belong to a pod's own namespaces (sysctl(8), namespaces(7)). Init loads this."""

from __future__ import annotations

import os

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_IPC = frozenset(
    f"kernel/{name}"
    for name in (
        *("auto_msgmni", "msg_next_id", "msgmax", "msgmnb", "msgmni", "sem", "sem_next_id", "shm_next_id"),
        *("shm_rmid_forced", "shmall", "shmmax", "shmmni"),
    )
)
_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@")
_LONGEST_VALUE = 4095
_TOP = "/proc/sys/"


def checked(given: Mapping[str, str], *, network: str, ipc: str, uts: str) -> dict[str, str]:
    """Values by path below ``/proc/sys``; ``net.core.somaxconn`` and ``net/core/somaxconn`` are the same.

    Raises ``InvalidInput`` for a name that is none, and for one that is not the pod's own: the whole
    machine's, or of a namespace that is the host's or each app's.
    """
    found = {}
    for name, value in given.items():
        path = _path(name)
        if path.startswith("net/"):
            owner = network
        elif path == "kernel/domainname":
            owner = uts
        elif path.startswith("fs/mqueue/") or path in _OF_IPC:
            owner = ipc
        else:
            raise InvalidInput(
                f"sysctl {name} is not a pod's: it is the whole machine's",
                hint="a pod has its own net.*, fs.mqueue.*, and kernel.msg*, sem, shm* and domainname",
            )
        if owner in ("host", "private"):
            whose = "the host's" if owner == "host" else "each app's own"
            raise InvalidInput(f"sysctl {name} is not the pod's: what it is of is {whose} here")
        if "\0" in value or "\n" in value or not 0 < len(value) <= _LONGEST_VALUE:
            raise InvalidInput(f"sysctl {name} cannot be {value!r}")
        found[path] = value
    return found


def _path(name: str) -> str:
    """As sysctl(8): where the first separator is a dot, dots and slashes change places."""
    dots, slashes = name.find("."), name.find("/")
    path = name
    if dots >= 0 and (slashes < 0 or dots < slashes):
        path = name.translate({ord("."): "/", ord("/"): "."})
    if not _CHARACTERS.issuperset(path) or any(part in ("", ".", "..") for part in path.split("/")):
        raise InvalidInput(f"{name!r} is no name of a sysctl", hint="such as net.core.somaxconn")
    return path


def write(values: Mapping[str, str], root: int | None = None) -> None:
    """Sets parameters of this process's namespaces; ``OSError`` names the one that cannot be set.

    ``root`` is the user who is root where they belong to a user namespace: since Linux 5.19 those of IPC are
    for that one alone.
    """
    for path, value in values.items():
        name = f"{_TOP}{path}"
        try:
            _write(name, value)
        except PermissionError:
            if root is None:
                raise
            os.seteuid(root)
            try:
                _write(name, value)
            finally:
                os.seteuid(0)


def shown(values: Mapping[str, str], name: str) -> str:
    """What was to be set, where ``write`` failed with this file ``name``."""
    path = name.removeprefix(_TOP)
    return f"sysctl {path.replace('/', '.')}={values[path]}"


def _write(name: str, value: str) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    except OSError as error:
        error.filename = name
        raise
    finally:
        os.close(descriptor)

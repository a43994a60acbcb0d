"""A process that makes an app's mounts where its caller cannot: in a mount namespace of its own.

For users' pods, whose init is in a user namespace: it joins that, and is root in there. And for kernels on
which an overlay cannot be made without being attached somewhere for a moment (before Linux 6.5; 6.15 for
mapped owners). It is begun for one app, hands the mounts to its caller, and ends.
"""

from __future__ import annotations

import os
import sys
from _socket import SHUT_WR, socket

from carob.linux import mount, namespaces
from carob.linux.idmap import Mapping
from carob.supervisor import channel as channels
from carob.supervisor import handing, interpreter
from carob.supervisor.boot import package_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_CHANNEL = 3
_PROGRAM = "import sys; sys.path.append({root!r}); from carob.supervisor.mount_maker import main; main()"
_PASSING = "/sys"  # where ``carob.linux.mount`` attaches for a moment


def open_mounts(
    path: str, spec: dict[str, Any], log_directory: str, *, owners: Mapping | None, init: int
) -> list[int]:
    """``handing.open_mounts`` by such a process."""
    ours, theirs = channels.pair()
    opened: list[int] = []
    try:
        try:
            pid = _spawn(theirs)
        finally:
            theirs.close()
        try:
            _ask(ours, {"path": path, "spec": spec, "log": log_directory}, owners, init)
            while (answer := channels.receive(ours))[0] is not None:
                message, descriptors = answer
                opened += descriptors
                if message is not None and "errno" in message:
                    raise OSError(message["errno"], message["strerror"])
                if message is not None and message.get("event") == "made":
                    return opened
            raise OSError("the process that makes its mounts ended early")
        finally:
            ours.shutdown(SHUT_WR)
            _collect(pid)
    except BaseException:
        channels.close_all(opened)
        raise
    finally:
        ours.close()


def _spawn(channel: socket) -> int:
    python = interpreter.interpreter()
    argv = [python, "-I", "-S", "-c", _PROGRAM.format(root=package_root())]
    actions = [
        (os.POSIX_SPAWN_DUP2, channel.fileno(), _CHANNEL),
        *[(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in range(3)],
    ]
    return os.posix_spawn(python, argv, {"LC_ALL": "C.UTF-8"}, file_actions=actions, setsid=True)


def _collect(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:  # who called collects all children by itself
        return


def _ask(channel: socket, request: dict[str, Any], owners: Mapping | None, init: int) -> None:
    if init:
        joined = os.open(f"/proc/{init}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            channels.send(channel, {**request, "joins": True}, (joined,))
        finally:
            os.close(joined)
    elif owners is not None:
        ranges = {"uids": [*owners.uids], "gids": [*owners.gids]}
        channels.send(channel, {**request, **ranges}, (owners.descriptor,))
    else:
        channels.send(channel, request)


def main() -> NoReturn:
    """The process; never returns."""
    status = 1
    channel = socket(fileno=_CHANNEL)
    try:
        message, descriptors = channels.receive(channel)
        if message is not None:
            _make(channel, message, descriptors)
            status = 0
    except OSError as error:
        channels.send(channel, {"errno": error.errno or 0, "strerror": error.strerror or str(error)})
    finally:
        sys.stderr.flush()
        os._exit(status)


def _make(channel: socket, message: dict[str, Any], descriptors: list[int]) -> None:
    os.set_inheritable(_CHANNEL, False)
    owners = None
    if message.get("joins"):
        namespaces.join(descriptors[0])
        for volume in message["spec"]["volumes"]:
            if "propagation" in volume:
                raise PermissionError(1, f"propagation of {volume['source']} takes root")
    elif descriptors:
        owners = Mapping(descriptors[0], message["uids"], message["gids"])
    namespaces.own_mounts()
    mount.set_propagation(_PASSING, mount.MS_PRIVATE)
    opened = handing.opened_here(
        message["path"],
        message["spec"],
        message["log"],
        owners=owners,
        user_xattrs=bool(message.get("joins")),
        may_attach=True,
    )
    for at in range(0, len(opened), channels.MAX_DESCRIPTORS):
        channels.send(channel, {"event": "some"}, tuple(opened[at : at + channels.MAX_DESCRIPTORS]))
    channels.send(channel, {"event": "made"})

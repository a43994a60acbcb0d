"""The user namespace of a pod of root's: its apps are in it, and its init, who keeps it, is not.

Init stays root of the host, so it can mount, and drive the control groups, as in any pod. The namespace is
made by a child of init's together with those that it is to own (network, IPC, host name), which init then
joins: the apps have power over these, and over nothing else.
"""

from __future__ import annotations

import os

from carob.linux import mount, namespaces
from carob.linux.files import write_once
from carob.linux.idmap import Mapping, map_lines
from carob.protocol import plan as plans
from carob.protocol.pod_network import FILES
from carob.supervisor import volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OWNED = namespaces.CLONE_NEWIPC | namespaces.CLONE_NEWUTS


class UserNamespace:
    """One whose owners are not mapped yet; the process that holds it ends with ``map_owners``."""

    __slots__ = ("_gate", "_holder")

    def __init__(self, *, shares_network: bool) -> None:
        """Makes it with its namespaces, and moves this process, of one thread, into those."""
        owned = _OWNED if shares_network else _OWNED | namespaces.CLONE_NEWNET
        gate, self._gate = os.pipe2(os.O_CLOEXEC)
        self._holder, pidfd = namespaces.fork_into(namespaces.CLONE_NEWUSER | owned)
        if self._holder == 0:
            try:
                os.close(self._gate)
                os.read(gate, 1)
            finally:
                os._exit(0)
        os.close(gate)
        try:
            namespaces.join(pidfd, owned)
        finally:
            os.close(pidfd)

    def map_owners(self, owners: dict[str, Any], top: int, pod: int) -> Mapping:
        """Maps the owners that a launch plan has, and keeps the namespace in init's root, the open directory
        ``top``, which has a ``/proc`` of its own. ``pod`` is the pod's open directory.
        """
        holder = f"proc/{self._holder}"
        for kind in ("uids", "gids"):
            write_once(f"/proc/self/fd/{top}/{holder}/{kind[:-1]}_map", map_lines(owners[kind]))
        descriptor = os.open(f"{holder}/ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=top)
        kept = mount.clone_tree(f"{holder}/ns/user", dir_fd=top)
        volumes.put(top, plans.USER_NAMESPACE_AT[1:], kept, is_directory=False)
        os.close(self._gate)
        os.waitpid(self._holder, 0)
        mapping = Mapping(descriptor, owners["uids"], owners["gids"])
        _give_network_files(pod, mapping.outside(0, 0))
        return mapping


def _give_network_files(pod: int, owner: tuple[int, int]) -> None:
    """Gives the pod's ``hosts`` and the like to who is root in it, so that its apps may write them."""
    try:
        names = os.listdir(f"/proc/self/fd/{pod}/{FILES}")
    except FileNotFoundError:
        return
    for name in names:
        os.chown(f"{FILES}/{name}", *owner, dir_fd=pod, follow_symlinks=False)

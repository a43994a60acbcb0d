"""Init's own small root: what the OCI runtime and the apps need, and nothing else of the host.

It is put together in a mount namespace that only this pod has, so the host's own mount table never
shows any of it, and the rest of the host's tree is let go of at the end.
"""

from __future__ import annotations

import os

from carob.linux import cgroup, mount
from carob.protocol import plan as plans
from carob.supervisor import volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from carob.linux.idmap import Mapping

_PROGRAMS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu")
_FILES = ("etc/ld.so.cache", "dev/null", "dev/zero", "dev/full", "dev/random", "dev/urandom", "dev/tty")
_DIRECTORIES = ("proc", "sys", "dev", "run", "tmp", "etc")
_NO_SET_ID = mount.MOUNT_ATTR_NOSUID


class Root:
    """The root while it is being made: first what every pod has, then what one pod needs.

    ``top`` is its open directory.
    """

    def __init__(self, runtime: str, hierarchies: list[str], *, shares_network: bool) -> None:
        """Makes the part that does not depend on the pod; ``runtime`` is the OCI runtime's path.

        A user's pod, which is in a user namespace, has no ``hierarchies``.

        The new root covers this namespace's ``/`` and is filled through its descriptor: absolute paths lead
        to the host's tree until ``enter``.
        """
        mount.set_propagation("/", mount.MS_PRIVATE)
        self.top = mount.new("tmpfs", [("size", "16m"), ("mode", "755")], _NO_SET_ID, "carob")
        mount.attach(os.dup(self.top), "/")
        # A volume of the whole host has all that is mounted below "/", but not this.
        mount.set_attributes(self.top, 0, propagation=mount.MS_UNBINDABLE)
        for name in _DIRECTORIES:
            os.mkdir(name, 0o755, dir_fd=self.top)
        mount.attach(mount.new("proc", []), "proc", dir_fd=self.top)
        mount.attach(_sysfs(shares_network=shares_network), "sys", dir_fd=self.top)
        if hierarchies != [cgroup.V2]:
            mount.attach(mount.new("tmpfs", [("mode", "755")]), "sys/fs/cgroup", dir_fd=self.top)
        self._attach_all(_cgroups(hierarchies) + _programs(runtime))
        for name, target in _links():
            os.symlink(target, name, dir_fd=self.top)

    def enter(
        self, pod_path: str, plan: dict[str, Any], link: socket, contents: int, owners: Mapping | None = None
    ) -> None:
        """Adds the directory, the root file systems and the volumes of a pod, and moves in.

        ``link`` brings volumes from the monitor; ``contents`` is an open file with those of the pod's files.
        ``owners`` are those of a pod that has its own.
        """
        volumes.put_all(self.top, pod_path, plan, link, owners)
        volumes.put_files(self.top, plan, contents, owners=owners)
        parts = _cgroups(plan.get("hierarchies", []))
        parts.append((plans.POD_AT[1:], mount.clone_tree(pod_path), True))
        for app in plan["apps"]:
            rootfs = volumes.rootfs(pod_path, app, user_xattrs=plan["user_namespace"], owners=owners)
            parts.append((f"{plans.ROOTFS_AT[1:]}/{app['name']}", rootfs, True))
        self._attach_all(parts)
        mount.pivot_root(self.top)
        os.close(self.top)

    def _attach_all(self, parts: list[tuple[str, int, bool]]) -> None:
        for name, descriptor, is_directory in parts:
            volumes.put(self.top, name, descriptor, is_directory=is_directory)


def _sysfs(*, shares_network: bool) -> int:
    """A sysfs of this network namespace; the host's own, read-only, where the network is the host's."""
    try:
        return mount.new("sysfs", [])
    except PermissionError:
        if not shares_network:
            raise
    descriptor = mount.clone_tree("/sys", recursive=True)
    mount.set_attributes(descriptor, mount.MOUNT_ATTR_RDONLY, recursive=True)
    return descriptor


def _programs(runtime: str) -> list[tuple[str, int, bool]]:
    """The host's programs and libraries, read-only, without what is mounted below them."""
    names = [name for name in _PROGRAMS if os.path.isdir(f"/{name}") and not os.path.islink(f"/{name}")]
    top = runtime.split("/")[1]
    if top not in names and not os.path.islink(f"/{top}"):
        names.append(os.path.dirname(runtime)[1:])
    parts = []
    for name in names:
        descriptor = mount.clone_unlocked(f"/{name}")
        mount.set_attributes(descriptor, mount.MOUNT_ATTR_RDONLY | _NO_SET_ID)
        parts.append((name, descriptor, True))
    for name in _FILES:
        if os.path.exists(f"/{name}"):
            # Read-only: nothing inside may change the owner or mode of the host's own nodes.
            descriptor = mount.clone_tree(f"/{name}")
            mount.set_attributes(descriptor, mount.MOUNT_ATTR_RDONLY | _NO_SET_ID)
            parts.append((name, descriptor, False))
    return parts


def _links() -> list[tuple[str, str]]:
    """The symbolic links of a host with a merged /usr."""
    return [(name, os.readlink(f"/{name}")) for name in _PROGRAMS if os.path.islink(f"/{name}")]


def _cgroups(hierarchies: list[str]) -> list[tuple[str, int, bool]]:
    if hierarchies == [cgroup.V2]:
        return [("sys/fs/cgroup", mount.clone_tree(cgroup.MOUNT_POINT), True)]
    names = [f"{cgroup.MOUNT_POINT[1:]}/{name}" for name in hierarchies]
    return [(name, mount.clone_tree(f"/{name}"), True) for name in names]

"""Init's own small root: what the OCI runtime and the apps need, and nothing else of the host.

It is put together in a mount namespace that only this pod has, so the host's own mount table never
shows any of it, and the rest of the host's tree is let go of at the end.
"""

from __future__ import annotations

import os

from carob.linux import cgroup, mount
from carob.protocol import plan as plans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STAGE = "/proc"  # covered by the new root while that is being filled; nothing below it is needed any more
_PROGRAMS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu")
_FILES = ("etc/ld.so.cache", "dev/null", "dev/zero", "dev/full", "dev/random", "dev/urandom", "dev/tty")
_DIRECTORIES = ("proc", "sys", "dev", "run", "tmp", "etc")
_NO_SET_ID = mount.MOUNT_ATTR_NOSUID


def build(pod_path: str, plan: dict[str, Any], hierarchies: list[str]) -> None:
    """Makes the root of the pod whose directory is ``pod_path`` and moves into it.

    All that is taken from the host's tree is opened first, as detached mounts; then the new root
    is filled through its own descriptor.
    """
    mount.set_propagation("/", mount.MS_PRIVATE)
    runtime = plan["runtime"]["path"]
    parts = _programs(runtime) + _cgroups(hierarchies) + _volumes(plan)
    parts.append((plans.POD_AT[1:], mount.clone_tree(pod_path), True))
    parts += [(f"{plans.ROOTFS_AT[1:]}/{app['name']}", _rootfs(pod_path, app), True) for app in plan["apps"]]
    parts.append(("proc", mount.new("proc", []), True))
    mount.attach(mount.new("tmpfs", [("size", "16m"), ("mode", "755")], _NO_SET_ID, "carob"), _STAGE)
    top = os.open(_STAGE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in _DIRECTORIES:
        os.mkdir(name, 0o755, dir_fd=top)
    _attach(top, "sys", mount.new("sysfs", []), is_directory=True)
    if hierarchies != [cgroup.V2] and hierarchies:
        mount.attach(mount.new("tmpfs", [("mode", "755")]), "sys/fs/cgroup", dir_fd=top)
    for name, descriptor, is_directory in parts:
        _attach(top, name, descriptor, is_directory=is_directory)
    for name, target in _links():
        os.symlink(target, name, dir_fd=top)
    os.close(top)
    mount.pivot_root(_STAGE)


def _attach(top: int, name: str, descriptor: int, *, is_directory: bool) -> None:
    _make_place(top, name, is_directory=is_directory)
    mount.attach(descriptor, name, dir_fd=top)


def _make_place(top: int, name: str, *, is_directory: bool) -> None:
    parents = name.split("/")
    for depth in range(1, len(parents) + is_directory):
        try:
            os.mkdir("/".join(parents[:depth]), 0o755, dir_fd=top)
        except FileExistsError:
            continue
    if not is_directory:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=top))


def _programs(runtime: str) -> list[tuple[str, int, bool]]:
    """The host's programs and libraries, read-only, without what is mounted below them."""
    names = [name for name in _PROGRAMS if os.path.isdir(f"/{name}") and not os.path.islink(f"/{name}")]
    top = runtime.split("/")[1]
    if top not in names and not os.path.islink(f"/{top}"):
        names.append(os.path.dirname(runtime)[1:])
    parts = []
    for name in names:
        descriptor = mount.clone_tree(f"/{name}")
        mount.set_attributes(descriptor, mount.MOUNT_ATTR_RDONLY | _NO_SET_ID)
        parts.append((name, descriptor, True))
    for name in _FILES:
        if os.path.exists(f"/{name}"):
            parts.append((name, mount.clone_tree(f"/{name}"), False))
    return parts


def _links() -> list[tuple[str, str]]:
    """The symbolic links of a host with a merged /usr."""
    return [(name, os.readlink(f"/{name}")) for name in _PROGRAMS if os.path.islink(f"/{name}")]


def _cgroups(hierarchies: list[str]) -> list[tuple[str, int, bool]]:
    if hierarchies == [cgroup.V2]:
        return [("sys/fs/cgroup", mount.clone_tree(cgroup.MOUNT_POINT), True)]
    names = [f"{cgroup.MOUNT_POINT[1:]}/{name}" for name in hierarchies]
    return [(name, mount.clone_tree(f"/{name}"), True) for name in names]


def _volumes(plan: dict[str, Any]) -> list[tuple[str, int, bool]]:
    parts = []
    for app in plan["apps"]:
        for volume in app["volumes"]:
            source = volume["source"]
            descriptor = mount.clone_tree(source, recursive=volume["recursive"])
            mount.set_attributes(descriptor, 0, propagation=mount.MS_PRIVATE, recursive=True)
            parts.append((volume["target"][1:], descriptor, os.path.isdir(source)))
    return parts


def _rootfs(pod_path: str, app: dict[str, Any]) -> int:
    """An app's root file system. Device nodes of its image are no devices in it."""
    rootfs = app["rootfs"]
    if "directory" in rootfs:
        descriptor = mount.clone_tree(os.path.join(pod_path, rootfs["directory"]))
        mount.set_attributes(descriptor, mount.MOUNT_ATTR_NODEV)
        return descriptor
    upper, work = (os.path.join(pod_path, rootfs[key]) for key in ("upper", "work"))
    return mount.overlay(rootfs["lower"], upper, work, mount.MOUNT_ATTR_NODEV)

"""The root file systems, volumes and files of a pod, as init puts them into its own root.

Each is a detached mount until it has its place. What the plan says of them is in ``carob.protocol.plan``.
"""

from __future__ import annotations

import errno
import os
from stat import S_ISDIR

from carob.linux import mount
from carob.linux.files import open_beneath
from carob.protocol import contents as packed
from carob.protocol import plan as plans
from carob.supervisor import host_paths
from carob.supervisor.journal import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from carob.linux.idmap import Mapping

_ATTRIBUTES = {
    "ro": mount.MOUNT_ATTR_RDONLY,
    "nosuid": mount.MOUNT_ATTR_NOSUID,
    "nodev": mount.MOUNT_ATTR_NODEV,
    "noexec": mount.MOUNT_ATTR_NOEXEC,
}
_FOR_FILES = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC
WHOLE_AT = "whole"
"""Where those volumes stand of which only a part, or a copy, is shown to apps."""


def put(top: int, name: str, descriptor: int, *, is_directory: bool = True) -> None:
    """Puts a detached mount at ``name``, made for it, below the open directory ``top``."""
    parents = name.split("/")
    try:
        for depth in range(1, len(parents) + is_directory):
            try:
                os.mkdir("/".join(parents[:depth]), 0o755, dir_fd=top)
            except FileExistsError:
                continue
        if not is_directory:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=top))
    except BaseException:
        os.close(descriptor)
        raise
    mount.attach(descriptor, name, dir_fd=top)


def put_all(
    top: int, pod_path: str, plan: dict[str, Any], link: socket, owners: Mapping | None = None
) -> None:
    """Puts the volumes of all apps; ``link`` brings those that the monitor has opened. ``owners`` are those
    of a pod that has its own.
    """
    handed = host_paths.receive(link, plan.get("handed", 0))[::-1]
    for app in plan["apps"]:
        for volume in app["volumes"]:
            opened = handed.pop() if "propagation" in volume else -1
            user_xattrs = plan["user_namespace"]
            put_volume(top, pod_path, app["name"], volume, opened, user_xattrs=user_xattrs, owners=owners)


def put_volume(
    top: int,
    pod_path: str,
    app: str,
    volume: dict[str, Any],
    opened: int,
    *,
    user_xattrs: bool,
    owners: Mapping | None = None,
) -> None:
    """Puts a volume of an app; ``opened`` is the detached mount that somebody else has made of it, or -1."""
    try:
        descriptor = _open(top, pod_path, volume, opened, owners, user_xattrs=user_xattrs)
    except OSError as error:
        error.strerror = f"{error.strerror}: the volume of app {app}"
        raise
    # Asked of what was found: another look at the path may find something else.
    found = os.fstat(descriptor)
    if volume.get("was", [found.st_dev, found.st_ino]) != [found.st_dev, found.st_ino]:
        note(f"app {app}: {volume['source']} is not what it was when the pod was prepared")
    put(top, volume["target"][1:], descriptor, is_directory=S_ISDIR(found.st_mode))


def _open(
    top: int, pod_path: str, volume: dict[str, Any], opened: int, owners: Mapping | None, *, user_xattrs: bool
) -> int:
    propagation = mount.MS_PRIVATE
    if "propagation" in volume:
        propagation = mount.MS_SLAVE if volume["propagation"] == "slave" else 0
    match volume["kind"]:
        case "host" if opened >= 0:
            descriptor = opened
        case "host":
            source, subpath = volume["source"], volume["subpath"]
            descriptor = host_paths.open_tree(source, subpath, recursive=volume["recursive"])
        case "pod":
            source = os.path.join(pod_path, volume["source"])
            descriptor = host_paths.open_tree(source, volume["subpath"], recursive=False)
        case "image":
            descriptor = opened
            if opened < 0:
                descriptor = rootfs(pod_path, volume, user_xattrs=user_xattrs, owners=owners)
            if volume["subpath"]:
                name = f"{WHOLE_AT}{volume['target']}"
                put(top, name, descriptor)
                descriptor = _part(top, name, volume["subpath"])
        case "memory":
            descriptor = _memory(top, volume, owners)
        case other:
            raise OSError(errno.EINVAL, f"this carob knows no volumes of kind {other!r}")
    try:
        if owners is not None and (volume["kind"] == "pod" or volume.get("idmap")):
            owners.show(descriptor, volume["source"], recursive=True)
        # With what is mounted below it.
        add = sum([_ATTRIBUTES[word] for word in volume["options"] if word != "ro-top"])
        mount.set_attributes(descriptor, add, propagation=propagation, recursive=True)
        if "ro-top" in volume["options"]:
            mount.set_attributes(descriptor, mount.MOUNT_ATTR_RDONLY)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _memory(top: int, volume: dict[str, Any], owners: Mapping | None) -> int:
    """A tmpfs; the first app that mounts a name makes it for all."""
    name = f"{WHOLE_AT}/memory/{volume['name']}"
    if not volume["name"]:
        if not volume["subpath"]:
            return _tmpfs(volume, owners)
        name = f"{WHOLE_AT}{volume['target']}"
    try:
        os.stat(name, dir_fd=top)
    except FileNotFoundError:
        put(top, name, _tmpfs(volume, owners))
    if volume["subpath"]:
        names = volume["subpath"].split("/")
        for depth in range(1, len(names) + 1):
            try:
                os.mkdir(path := "/".join([name, *names[:depth]]), 0o755, dir_fd=top)
            except FileExistsError:
                continue
            if owners is not None:
                os.chown(path, *owners.outside(0, 0), dir_fd=top, follow_symlinks=False)
    return _part(top, name, volume["subpath"])


def _tmpfs(volume: dict[str, Any], owners: Mapping | None) -> int:
    size = volume["size_bytes"]
    uid, gid = owner = volume["uid"], volume["gid"]
    if owners is not None:
        uid, gid = owners.outside(*owner)
    options: list[tuple[str, str | None]] = [] if size is None else [("size", str(size))]
    options += [("mode", f"{volume['mode']:o}"), ("uid", str(uid)), ("gid", str(gid))]
    return mount.new("tmpfs", options, 0, "carob")


def _part(top: int, name: str, subpath: str) -> int:
    """A detached copy of what is at ``subpath`` of the mount at ``name``."""
    if not subpath:
        return mount.clone_tree(name, dir_fd=top)
    whole = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=top)
    try:
        inner = open_beneath(subpath, whole)
    finally:
        os.close(whole)
    try:
        return mount.clone_tree("", dir_fd=inner)
    finally:
        os.close(inner)


def put_files(
    top: int, plan: dict[str, Any], contents: int, at: str = plans.FILES_AT, *, owners: Mapping | None = None
) -> None:
    """Puts a tmpfs with the files of a pod, or of an app of a mutable one; ``contents`` is the open file that
    has them, -1 for none.

    It is kept out of swap where the kernel can (Linux 6.4).
    """
    wanted = plan.get("files")
    if not wanted:
        return
    if contents < 0:
        raise OSError(errno.ENODATA, "the contents of the pod's files were not handed over")
    try:
        made = _files(wanted, contents, owners)
    finally:
        os.close(contents)
    put(top, at[1:], made)


def _files(wanted: list[dict[str, Any]], contents: int, owners: Mapping | None) -> int:
    # For the files to be reached by who is root in a pod only; their own modes protect them.
    options: list[tuple[str, str | None]] = [("mode", "700" if owners is None else "711")]
    options.append(("size", str(os.fstat(contents).st_size + 8192 * (len(wanted) + 1))))
    try:
        made = mount.new("tmpfs", [*options, ("noswap", None)], _FOR_FILES, "carob")
    except OSError:
        made = mount.new("tmpfs", options, _FOR_FILES, "carob")
    try:
        offset = packed.SIZE_BYTES * len(wanted)
        for file, size in zip(wanted, packed.sizes(os.pread(contents, offset, 0)), strict=True):
            _write(made, file, contents, offset, size, owners)
            offset += size
    except BaseException:
        os.close(made)
        raise
    return made


def _write(
    directory: int, file: dict[str, Any], contents: int, at: int, size: int, owners: Mapping | None
) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(file["name"], flags, 0o600, dir_fd=directory)
    try:
        end = at + size
        while at < end:
            count = os.sendfile(descriptor, contents, at, end - at)
            if count == 0:
                raise OSError(errno.ENODATA, "the contents of the pod's files are cut short")
            at += count
        owner = file["uid"], file["gid"]
        os.fchown(descriptor, *(owner if owners is None else owners.outside(*owner)))
        os.fchmod(descriptor, file["mode"])
    finally:
        os.close(descriptor)


def rootfs(
    pod_path: str,
    app: dict[str, Any],
    *,
    user_xattrs: bool,
    owners: Mapping | None = None,
    may_attach: bool = True,
) -> int:
    """The root file system of an app, or an image as a volume. Device nodes of images are no devices.

    ``user_xattrs`` is for layers that were not unpacked by root. A pod with ``owners`` of its own sees the
    image's as these, and what it writes there is theirs on disk.
    """
    parts = app["rootfs"]
    if "directory" in parts:
        descriptor = mount.clone_tree(os.path.join(pod_path, parts["directory"]))
        try:
            mount.set_attributes(descriptor, mount.MOUNT_ATTR_NODEV)
            if owners is not None:
                owners.show(descriptor, pod_path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
    upper, work = (os.path.join(pod_path, parts[key]) for key in ("upper", "work"))
    if owners is not None:
        found = os.stat(upper)
        os.chown(upper, *owners.outside(found.st_uid, found.st_gid))
    return mount.overlay(
        parts["lower"],
        upper,
        work,
        mount.MOUNT_ATTR_NODEV,
        user_xattrs=user_xattrs,
        mapping=owners,
        may_attach=may_attach,
    )

"""The mounts of an app that is added to a running pod, made by who adds it: init has no host's tree any more.

They are detached: seen nowhere until init has put them into its own root, and gone with their descriptors
where it comes to nothing. The app's root file system is the first, then come those volumes that are of the
host or of an image, in the plan's order, and last the directory of its log, where that is not in the pod.
"""

from __future__ import annotations

from carob.linux import mount
from carob.supervisor import channel as channels
from carob.supervisor import host_paths, volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.linux.idmap import Mapping


def is_handed(volume: dict[str, Any]) -> bool:
    """Whether init cannot make it itself."""
    return volume["kind"] in ("host", "image")


def open_mounts(
    path: str, spec: dict[str, Any], log_directory: str, *, owners: Mapping | None = None, init: int = 0
) -> list[int]:
    """The mounts of the app that ``spec``, its part of the plan, says, in the pod at ``path``.

    ``owners`` are those of a pod of root's that has its own. ``init`` is the pid of a user's, whose namespace
    they are made in; 0 for root's. The caller closes them. Raises ``OSError``, which says what failed.
    """
    if not init:
        try:
            return opened_here(path, spec, log_directory, owners=owners)
        except mount.MustAttach:
            pass
    from carob.supervisor import mount_maker

    return mount_maker.open_mounts(path, spec, log_directory, owners=owners, init=init)


def opened_here(
    path: str,
    spec: dict[str, Any],
    log_directory: str,
    *,
    owners: Mapping | None = None,
    user_xattrs: bool = False,
    may_attach: bool = False,
) -> list[int]:
    """The same, made by this process. Raises ``mount.MustAttach`` where that takes a mount namespace of its
    own, and it has none (``may_attach``).
    """
    opened: list[int] = []
    what = "its root file system"
    kind = {"user_xattrs": user_xattrs, "may_attach": may_attach}
    try:
        opened.append(volumes.rootfs(path, spec, owners=owners, **kind))
        for volume in filter(is_handed, spec["volumes"]):
            what = f"its volume {volume.get('source', volume['target'])}"
            if volume["kind"] == "image":
                opened.append(volumes.rootfs(path, volume, owners=owners, **kind))
            else:
                source, subpath = volume["source"], volume["subpath"]
                opened.append(host_paths.open_tree(source, subpath, recursive=volume["recursive"]))
        if log_directory:
            what = f"the directory of its log, {log_directory}"
            opened.append(host_paths.open_tree(log_directory, "", recursive=False))
    except OSError as error:
        channels.close_all(opened)
        error.strerror = f"{error.strerror}: {what}"
        raise
    return opened

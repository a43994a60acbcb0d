"""Where a pod's own files are, overlay or not, and what stands in some of them."""

from __future__ import annotations

import os

from carob.errors import CarobError, CorruptData, InvalidInput, NotFound
from carob.linux import syscall
from carob.linux.files import read_file
from carob.pod import layout
from carob.pod.failure import failed
from carob.pod.number import parse_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod.pod import Pod


def read_pod_file(pod: Pod, name: str) -> bytes:
    """The content of a file of the pod, found through the pod's directory descriptor."""
    fd = pod.fd()
    try:
        return read_file(name, dir_fd=fd)
    except OSError as error:
        raise failed(error, f"cannot read {name} of pod {pod.uuid}") from error


def read_pod_int(pod: Pod, name: str) -> int:
    """The number in a file of the pod; ``CorruptData`` where there is none."""
    return parse_int(read_pod_file(pod, name), f"{name} of pod {pod.uuid}")


def uses_overlay(pod: Pod) -> bool:
    """See ``Pod.uses_overlay``: whether the marker file can be opened."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        os.close(os.open(layout.OVERLAY_PREPARED, flags, dir_fd=pod.fd()))
    except OSError:
        return False
    return True


def stage1_tree_store_id(pod: Pod) -> str:
    """See ``Pod.get_stage1_tree_store_id``."""
    return _text(read_pod_file(pod, layout.STAGE1_TREE_STORE_ID), layout.STAGE1_TREE_STORE_ID, pod)


def app_tree_store_id(pod: Pod, app_name: str) -> str:
    """See ``Pod.get_app_tree_store_id``."""
    name = layout.app_tree_store_id(checked_app_name(app_name))
    try:
        return _text(read_pod_file(pod, name), name, pod)
    except NotFound:
        if uses_overlay(pod):
            raise
        return ""


def apps_tree_store_ids(pod: Pod) -> list[str]:
    """See ``Pod.get_apps_tree_store_ids``."""
    _, manifest = pod.pod_manifest()
    ids = [app_tree_store_id(pod, app.name) for app in manifest.apps]
    return [tree_id for tree_id in ids if tree_id]


def stage1_rootfs(pod: Pod) -> str:
    """The root of the pod's own files, relative to its directory."""
    rootfs = layout.stage1_rootfs(stage1_tree_store_id(pod) if uses_overlay(pod) else None)
    if "\0" in rootfs or os.path.normpath(rootfs).split("/", 1)[0] == "..":
        raise CorruptData(f"{layout.STAGE1_TREE_STORE_ID} of pod {pod.uuid} leads out of the pod")
    return os.path.normpath(rootfs)


def stage1_rootfs_path(pod: Pod) -> str:
    """See ``Pod.stage1_rootfs_path``."""
    path = pod.path()
    if not path:
        raise NotFound(f"pod {pod.uuid} is gone")
    return f"{path}/{stage1_rootfs(pod)}"


def journal_log_path(pod: Pod) -> str:
    """See ``Pod.journal_log_path``."""
    return layout.journal(stage1_rootfs_path(pod))


def app_exit_code(pod: Pod, app_name: str) -> int:
    """See ``Pod.app_exit_code``."""
    return read_pod_int(pod, layout.app_status(stage1_rootfs(pod), checked_app_name(app_name)))


def is_supervisor_ready(pod: Pod) -> bool:
    """See ``Pod.is_supervisor_ready``."""
    try:
        name = layout.supervisor_status(stage1_rootfs(pod))
        return os.readlink(name, dir_fd=pod.fd()) == layout.SUPERVISOR_READY
    except (OSError, CarobError):
        return False


def sync(pod: Pod) -> None:
    """See ``Pod.sync``."""
    fd = pod.fd()
    try:
        syscall.syncfs(fd)
    except OSError as error:
        raise failed(error, f"cannot write back the files of pod {pod.uuid}") from error


def checked_app_name(app_name: str) -> str:
    """``app_name``, where it can be one part of a path; else ``InvalidInput``."""
    if not app_name or app_name in (".", "..") or "/" in app_name or "\0" in app_name:
        raise InvalidInput(f"{app_name!r} is not the name of an app")
    return app_name


def _text(raw: bytes, name: str, pod: Pod) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise CorruptData(f"{name} of pod {pod.uuid} does not hold text") from error

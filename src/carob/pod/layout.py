"""The files of a pod directory, by rkt's names. Paths are relative to it; nothing here touches a disk."""

from __future__ import annotations

PODS = "pods"
DIRECTORY_MODE = 0o750
FILE_MODE = 0o640

MANIFEST = "pod"
MANIFEST_LOCK = "pod.lck"
CREATED = "pod-created"
PID = "pid"
PPID = "ppid"
NET_INFO = "net-info.json"
STAGE1_TREE_STORE_ID = "stage1TreeStoreID"
OVERLAY_PREPARED = "overlay-prepared"
APPS_INFO = "appsinfo"

# What rkt has no place for.
OWN = "carob"
DELETING_MARK = "deleting"

MUTABLE_ANNOTATION = "coreos.com/rkt/stage1/mutable"
SUPERVISOR_READY = "ready"


def app_manifest(app_name: str) -> str:
    """The image manifest of an app."""
    return f"{APPS_INFO}/{app_name}/manifest"


def app_tree_store_id(app_name: str) -> str:
    """The file that holds the id of an app's unpacked image."""
    return f"{APPS_INFO}/{app_name}/treeStoreID"


def stage1_rootfs(overlay_tree_store_id: str | None) -> str:
    """The root of the pod's own files, where an overlay is used or (``None``) not."""
    if overlay_tree_store_id is None:
        return "stage1/rootfs"
    return f"overlay/{overlay_tree_store_id}/upper"


def app_status(rootfs: str, app_name: str) -> str:
    """The file that holds an app's exit code, below the pod's ``rootfs``."""
    return f"{rootfs}/rkt/status/{app_name}"


def supervisor_status(rootfs: str) -> str:
    """The symbolic link that points to ``ready`` once the supervisor is."""
    return f"{rootfs}/rkt/supervisor-status"


def journal(rootfs: str) -> str:
    """The directory of the pod's journal."""
    return f"{rootfs}/var/log/journal"

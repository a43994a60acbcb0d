"""The pod's manifest: reading, and for mutable pods locking and replacing it.

A mutable pod says so by the annotation ``coreos.com/rkt/stage1/mutable``. Its manifest has a lock of
its own, ``pod.lck``, as the pod's lock belongs to whoever runs it; the lock is not on the manifest,
which is replaced by every change.
"""

from __future__ import annotations

import os
import stat

from carob.errors import CorruptData, InvalidInput
from carob.linux.files import OPEN_DIRECTORY, write_file_durably
from carob.linux.flock import EXCLUSIVE, FileLock
from carob.pod import layout
from carob.pod.failure import ImmutablePod, failed
from carob.pod.tree import read_pod_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod.pod import Pod
    from carob.spec.appc.image import ImageManifest
    from carob.spec.appc.pod import PodManifest

# What Go's strconv.ParseBool takes.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def pod_manifest(pod: Pod) -> tuple[bytes, PodManifest]:
    """See ``Pod.pod_manifest``."""
    from carob.spec.appc.pod import PodManifest

    raw = read_pod_file(pod, layout.MANIFEST)
    try:
        return raw, PodManifest.from_json(raw)
    except InvalidInput as error:
        raise CorruptData(f"the manifest of pod {pod.uuid} is not valid: {error.message}") from error


def app_image_manifest(pod: Pod, app_name: str) -> ImageManifest:
    """See ``Pod.app_image_manifest``."""
    from carob.spec.appc.image import ImageManifest
    from carob.spec.appc.names import ACName

    raw = read_pod_file(pod, layout.app_manifest(ACName(app_name)))
    try:
        return ImageManifest.from_json(raw)
    except InvalidInput as error:
        raise CorruptData(
            f"the image manifest of app {app_name} of pod {pod.uuid} is not valid: {error.message}"
        ) from error


def sandbox_manifest(pod: Pod) -> PodManifest:
    """See ``Pod.sandbox_manifest``."""
    _, manifest = pod_manifest(pod)
    value = manifest.annotations.get(layout.MUTABLE_ANNOTATION)
    if value is not None and value not in _TRUE | _FALSE:
        raise CorruptData(
            f"annotation {layout.MUTABLE_ANNOTATION} of pod {pod.uuid} is {value!r}, not a boolean"
        )
    pod._mutable = value in _TRUE
    _require_mutable(pod)
    return manifest


def update_manifest(pod: Pod, new: PodManifest, path: str | None) -> None:
    """See ``Pod.update_manifest``."""
    _require_mutable(pod)
    data = new.to_json() + b"\n"
    held = pod._manifest_lock is not None and pod._manifest_lock.held == EXCLUSIVE
    if not held:
        _lock(pod, create_mode=0o600)
    try:
        if path is None:
            _replace(data, pod.fd())
        else:
            fd = os.open(path, OPEN_DIRECTORY)
            try:
                _replace(data, fd)
            finally:
                os.close(fd)
    except OSError as error:
        raise failed(error, f"cannot replace the manifest of pod {pod.uuid}") from error
    finally:
        if not held:
            pod.unlock_manifest()


def lock(pod: Pod) -> None:
    """See ``Pod.exclusive_lock_manifest``. The file is made when the pod is, and must be there."""
    _lock(pod, create_mode=None)


def _lock(pod: Pod, create_mode: int | None) -> None:
    if pod._manifest_lock is None or pod._manifest_lock.closed:
        fd = pod.fd()
        try:
            pod._manifest_lock = FileLock(layout.MANIFEST_LOCK, dir_fd=fd, file=True, create_mode=create_mode)
        except OSError as error:
            raise failed(error, f"cannot open {layout.MANIFEST_LOCK} of pod {pod.uuid}") from error
    pod._manifest_lock.exclusive_lock()


def _require_mutable(pod: Pod) -> None:
    if not pod._mutable:
        raise ImmutablePod(
            f"pod {pod.uuid} is immutable: its apps were fixed when it was prepared",
            hint="use a sandbox for apps that come and go",
        )


def _replace(data: bytes, dir_fd: int) -> None:
    mode = stat.S_IMODE(os.stat(layout.MANIFEST, dir_fd=dir_fd).st_mode) & 0o777
    write_file_durably(layout.MANIFEST, data, dir_fd=dir_fd, mode=mode)

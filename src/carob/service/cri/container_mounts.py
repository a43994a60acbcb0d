"""From CRI's mounts to ``Mount``. Pure."""

from __future__ import annotations

import os

from carob.engine.request.mounts import ImageVolume, MemoryVolume, Mount
from carob.errors import InvalidInput
from carob.service.cri import api_pb2 as api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

_PROPAGATIONS = {
    api.PROPAGATION_PRIVATE: "private",
    api.PROPAGATION_HOST_TO_CONTAINER: "slave",
    api.PROPAGATION_BIDIRECTIONAL: "shared",
}
_OPTIONS = ("noexec", "nosuid", "nodev")
_SHM = "/dev/shm"
_SHM_BYTES = 64 << 20


def mounts(asked: Sequence[api.Mount], *, ipc: int) -> list[Mount]:
    """A container's mounts, its shared memory among them, which is the pod's or the node's (``ipc``).

    Raises ``InvalidInput``.
    """
    found = [_mount(one) for one in asked]
    if not any(os.path.normpath(one.target) == _SHM for one in found):
        if ipc == api.NODE:
            found.append(Mount(_SHM, _SHM))
        elif ipc == api.POD:
            found.append(Mount(MemoryVolume("shm", size_bytes=_SHM_BYTES), _SHM))
    return found


def _mount(asked: api.Mount) -> Mount:
    if asked.propagation not in _PROPAGATIONS:
        raise InvalidInput(f"{asked.container_path}: there is no propagation {asked.propagation}")
    options = _options(asked)
    if asked.recursive_read_only and (not asked.readonly or asked.propagation != api.PROPAGATION_PRIVATE):
        raise InvalidInput(
            f"{asked.container_path}: read-only with all below is for what is read-only, and private"
        )
    target = asked.container_path
    if not target.startswith("/"):
        target = f"/{target}"
    if asked.HasField("image"):
        if asked.host_path:
            raise InvalidInput(f"{target}: a mount is of a path or of an image, not of both")
        if not asked.readonly:
            raise InvalidInput(f"{target}: an image is mounted read-only")
        volume = ImageVolume(asked.image.image_ref or asked.image.image)
        return Mount(volume, target, read_only=True, subpath=asked.image_sub_path, **options)
    if not asked.host_path:
        raise InvalidInput(f"{target}: a mount needs a path of the host")
    return Mount(
        asked.host_path,
        target,
        read_only=asked.readonly,
        read_only_below=asked.recursive_read_only,
        idmap=bool(asked.uidMappings),
        propagation=_PROPAGATIONS[asked.propagation],  # type: ignore[arg-type] # one of those words
        **options,
    )


def _options(asked: api.Mount) -> dict[str, Any]:
    """Kubernetes' volumes have what is asked for, and nothing else: devices and set-id bits count in them."""
    for word in asked.mount_options:
        if word not in _OPTIONS:
            raise InvalidInput(f"{asked.container_path}: there is no mount option {word!r}")
    return {word: word in asked.mount_options for word in _OPTIONS}


def missing_sources(asked: Iterable[api.Mount]) -> list[str]:
    """The host's paths that are to be made as directories where there is nothing, as container engines do."""
    return [one.host_path for one in asked if one.host_path and not os.path.lexists(one.host_path)]

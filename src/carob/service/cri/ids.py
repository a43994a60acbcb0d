"""CRI's ids, which tell by themselves which pod and app they are of. Pure.

A sandbox's is the pod's uuid without dashes. A container's is 32 digits of a digest, by which people tell
containers apart, and then those of the pod.
"""

from __future__ import annotations

from hashlib import sha256

from carob.errors import NotFound
from carob.spec.reference import is_hex

_DIGITS = 32
_PARTS = (8, 4, 4, 4, 12)


def sandbox_id(uuid: str) -> str:
    """The id of the sandbox that a pod is."""
    return uuid.replace("-", "")


def container_id(uuid: str, app: str) -> str:
    """The id of the container that an app of a pod is."""
    return sha256(f"{uuid}/{app}".encode()).hexdigest()[:_DIGITS] + sandbox_id(uuid)


def pod_uuid(sandbox: str) -> str:
    """The pod of a sandbox's whole id; a uuid is taken, too. Raises ``NotFound`` for what is neither."""
    digits = sandbox.replace("-", "")
    if len(digits) != _DIGITS or not is_hex(digits):
        raise NotFound(f"there is no sandbox {sandbox!r}")
    parts, begin = [], 0
    for length in _PARTS:
        parts.append(digits[begin : begin + length])
        begin += length
    return "-".join(parts)


def pod_of_container(container: str) -> str:
    """The uuid of the pod of a container's whole id. Raises ``NotFound`` for what is none."""
    if len(container) != 2 * _DIGITS or not is_hex(container):
        raise NotFound(f"there is no container {container!r}")
    return pod_uuid(container[_DIGITS:])


def is_beginning(text: str, whole: str) -> bool:
    """Whether an id, or the beginning of one as crictl shows it, means this one."""
    return bool(text) and whole.startswith(text.replace("-", ""))

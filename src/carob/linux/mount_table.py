"""The mounts of this process's namespace, as /proc/self/mountinfo shows them (proc(5))."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def points_below(path: str) -> list[str]:
    """Where something is mounted at or below ``path``, a path without symbolic links."""
    inside = path.rstrip("/") + "/"
    return [point for _, point, _ in _table() if (point + "/").startswith(inside)]


def propagation(path: str) -> str:
    """How the mount that shows ``path`` hands mounts on: ``private``, ``slave``, or ``shared``.

    A slave that is shared as well counts as shared (mount_namespaces(7)). Raises ``OSError``.
    """
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        wanted = _mount_id(descriptor)
    finally:
        os.close(descriptor)
    for number, _, fields in _table():
        if number == wanted:
            kinds = {field.partition(":")[0] for field in fields}
            return "shared" if "shared" in kinds else "slave" if "master" in kinds else "private"
    return "private"


def _mount_id(descriptor: int) -> str:
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if key == "mnt_id":
                return value.strip()
    return ""


def _table() -> Iterator[tuple[str, str, list[str]]]:
    """The id, the mount point and the optional fields of each mount."""
    with open("/proc/self/mountinfo", "rb") as table:
        for line in table:
            left = line.partition(b" - ")[0].split(b" ")
            yield left[0].decode(), _unescaped(left[4]), [os.fsdecode(field) for field in left[6:]]


def _unescaped(raw: bytes) -> str:
    """A path with the octal escapes that the kernel writes for white space and backslashes undone."""
    first, *rest = raw.split(b"\\")
    parts = [first, *[bytes([int(part[:3], 8)]) + part[3:] for part in rest]]
    return os.fsdecode(b"".join(parts))

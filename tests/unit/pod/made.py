"""Pod directories made by hand, as rkt leaves them, and locks held on them by others."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carob.pod.state import Directory

UUID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
MANIFEST = (
    b'{"acVersion":"0.8.11","acKind":"PodManifest","apps":['
    b'{"name":"web","image":{"id":"sha512-ab"}},{"name":"db","image":{"id":"sha512-cd"}}]}'
)
MUTABLE = MANIFEST[:-1] + b',"annotations":[{"name":"coreos.com/rkt/stage1/mutable","value":"true"}]}'


def uuid_of(number: int) -> str:
    return f"{number:08x}-1111-4222-8333-{number:012x}"


def make(data_dir: str, directory: Directory, uuid: str = UUID, **files: bytes) -> str:
    """Makes a pod; in names of files ``__`` stands for ``/`` and ``_D_`` for a dash."""
    path = Path(data_dir, "pods", directory, uuid)
    path.mkdir(parents=True)
    for name, content in files.items():
        file = path / name.replace("__", "/").replace("_D_", "-")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return str(path)


@contextmanager
def locked(path: str, operation: int = fcntl.LOCK_EX) -> Iterator[None]:
    """The lock, held by somebody else: a descriptor of its own."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, operation | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)

"""Taking a named volume into use: made where it is missing, filled at its first use, kept from removal.

The first use copies what the image has at the mount's target, with owners and modes, as docker does, so that
a database finds its directory as its image made it. The copy is made beside ``data`` and takes its place by
one rename, under the exclusive lock: racers get one copy, and a crash leaves the volume as fresh as it was.
"""

from __future__ import annotations

import os

from carob.engine.volumes import store
from carob.errors import Conflict, NotFound
from carob.linux.failure import failed
from carob.linux.syscall import syncfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from carob.engine.request.mounts import NamedVolume
    from carob.image.files.locks import Lock

_ATTEMPTS = 100


def take(data_dir: str, volume: NamedVolume, target: str, lower_dirs: Sequence[str]) -> Lock:
    """The volume with a shared lock, ready to be mounted at ``target`` of an image with these layers."""
    for _ in range(_ATTEMPTS):
        try:
            held = store.shared(data_dir, volume.name)
        except NotFound:
            _create(data_dir, volume.name)
            continue
        if not _is_fresh(held):
            return held
        held.close()  # a lock is never converted
        try:
            with store.exclusive(data_dir, volume.name) as alone:
                if _is_fresh(alone):
                    _begin(alone, lower_dirs if volume.copy else (), target)
        except NotFound:
            continue
        except OSError as error:
            raise failed(error, f"cannot fill the volume {volume.name}") from error
    raise Conflict(f"the volume {volume.name} is removed again and again", hint="try again")


def _create(data_dir: str, name: str) -> None:
    try:
        store.create(data_dir, name, {})
    except Conflict:
        return  # another process was quicker


def _is_fresh(held: Lock) -> bool:
    try:
        os.stat(store.FRESH, dir_fd=held.fd)
    except FileNotFoundError:
        return False
    return True


def _begin(held: Lock, lower_dirs: Sequence[str], target: str) -> None:
    """Ends a volume's being fresh; what somebody has put into it by then stays alone."""
    base = os.readlink(f"/proc/self/fd/{held.fd}")
    sources = _sources(lower_dirs, target)
    if sources and not os.listdir(f"{base}/data"):
        _fill(base, held.fd, sources)
    os.unlink(store.FRESH, dir_fd=held.fd)
    os.fsync(held.fd)


def _sources(lower_dirs: Sequence[str], target: str) -> list[str]:
    if not lower_dirs:
        return []
    from carob.image.files.lookup import directories_at

    return directories_at(lower_dirs, target)


def _fill(base: str, fd: int, sources: list[str]) -> None:
    from carob.image.layers.hands import open_hands

    hands = open_hands()
    try:
        hands.remove(f"{base}/{store.FILLING}")
        hands.copy(sources, f"{base}/{store.FILLING}")
    finally:
        hands.close()
    syncfs(fd)
    # An empty directory is replaced by rename(2), and any other is not: nothing of anybody's is lost.
    os.rename(store.FILLING, "data", src_dir_fd=fd, dst_dir_fd=fd)

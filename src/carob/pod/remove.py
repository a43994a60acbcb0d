"""Deleting a pod: under its exclusive lock, by descriptors, resumable at any point.

No symbolic link is followed and no mount crossed: what is mounted inside stays, is named in the error,
and keeps the pod. The manifest goes last, so that a pod half deleted still says what it was. A mark says
that deleting has begun, because what is deleted in the directory sets the clock of the grace period back.
"""

from __future__ import annotations

import errno
import os
from itertools import islice
from time import monotonic, sleep

from carob.errors import CarobError, Conflict, LostRace, NotFound
from carob.linux.files import fsync_directory, open_directory_beneath
from carob.linux.flock import EXCLUSIVE
from carob.pod import layout
from carob.pod.directory import directory_path, pod_path
from carob.pod.failure import PodLocked, failed
from carob.pod.state import DELETING_STATES, TO_GONE, Directory, State, directory_of
from carob.pod.transition import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod.pod import Pod

_LOCK_TIMEOUT_S = 0.2
_PAUSE_S = 0.002
_ENTRIES_AT_ONCE = 4096
# Two descriptors a level; what lies deeper is moved up to the pod's directory first.
_DEEPEST = 32


def start_deleting(pod: Pod) -> None:
    """exited garbage → exited deleting, garbage → deleting: takes the exclusive lock.

    Raises ``LostRace`` where another has deleted it, or deletes it, since ``pod`` last looked, and
    ``Conflict`` for a pod that is no garbage.
    """
    before = pod.state()
    deadline = monotonic() + _LOCK_TIMEOUT_S
    try:
        pod.fd()
    except NotFound:
        refuse(pod, TO_GONE, before)
    if pod.held() == EXCLUSIVE:
        if pod.refresh() not in DELETING_STATES:
            refuse(pod, TO_GONE, before)
        return
    while True:
        if pod.refresh() not in TO_GONE.sources:
            refuse(pod, TO_GONE, before)
        if pod.try_exclusive_lock():
            break
        if monotonic() >= deadline:
            refuse(pod, TO_GONE, before)
        sleep(_PAUSE_S)
    directory = directory_of(pod.refresh())
    if pod.state() not in DELETING_STATES or directory is None or not _is_at(pod, directory):
        pod.unlock()
        refuse(pod, TO_GONE, before)


def delete(pod: Pod) -> None:
    """Deletes a pod that is garbage; it is gone afterwards. See ``start_deleting`` for the errors.

    Where something cannot be deleted the rest is, the pod stays what it was, unlocked, and the first
    trouble is raised: ``Conflict`` for what is mounted inside.
    """
    start_deleting(pod)
    directory = directory_of(pod.state())
    assert directory is not None
    _delete_locked(pod, directory)


def delete_embryo(pod: Pod) -> None:
    """Deletes an embryo that its creator left behind.

    Raises ``PodLocked`` while somebody holds it, ``LostRace`` if it is none any more.
    """
    if not pod.try_exclusive_lock():
        raise PodLocked(f"embryo {pod.uuid} is locked, by its creator or by another collector")
    if pod.refresh() is not State.EMBRYO or not _is_at(pod, Directory.EMBRYO):
        pod.unlock()
        now = pod.refresh()
        raise LostRace(f"pod {pod.uuid} is {now}, and no embryo any more", state=now)
    _delete_locked(pod, Directory.EMBRYO)


def deleting_has_begun(pod: Pod) -> bool:
    """Whether an earlier deletion of this pod did not come to its end."""
    try:
        os.stat(f"{layout.OWN}/{layout.DELETING_MARK}", dir_fd=pod.fd())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise failed(error, f"cannot look at pod {pod.uuid}") from error
    return True


def _is_at(pod: Pod, directory: Directory) -> bool:
    try:
        found = os.stat(pod_path(pod._data_dir, directory, pod.uuid), follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(pod.fd()))


def _delete_locked(pod: Pod, directory: Directory) -> None:
    try:
        _delete_contents(pod)
        os.rmdir(pod_path(pod._data_dir, directory, pod.uuid))
        pod._saw(State.GONE)
        fsync_directory(directory_path(pod._data_dir, directory))
    except OSError as error:
        if isinstance(error, CarobError):
            raise
        raise failed(error, f"cannot delete pod {pod.uuid}") from error
    finally:
        pod.unlock()
        if pod.state() is not State.GONE:
            pod.refresh()


def _delete_contents(pod: Pod) -> None:
    root = pod.fd()
    leave_mark(pod)
    troubles: list[tuple[str, OSError]] = []
    _empty(root, "", root, troubles, keep=frozenset({layout.MANIFEST, layout.OWN}))
    if not troubles and _is_real_directory(layout.OWN, root):
        own = open_directory_beneath(layout.OWN, root)
        try:
            _empty(own, f"{layout.OWN}/", root, troubles, keep=frozenset({layout.DELETING_MARK}))
        finally:
            os.close(own)
        # What lay deep in there was moved up.
        _empty(root, "", root, troubles, keep=frozenset({layout.MANIFEST, layout.OWN}))
    if not troubles:
        _empty(root, "", root, troubles, keep=frozenset({layout.MANIFEST}))
    if troubles:
        path, error = troubles[0]
        if error.errno in (errno.EXDEV, errno.EBUSY):
            raise Conflict(
                f"cannot delete pod {pod.uuid}: {path} is a mount point", hint="unmount it first"
            ) from error
        raise failed(error, f"cannot delete {path} of pod {pod.uuid}") from error
    _empty(root, "", root, troubles, keep=frozenset())
    if troubles:
        raise troubles[0][1]


def leave_mark(pod: Pod) -> None:
    """Leaves the mark that deleting has begun. Where it cannot be left, that is taken up again later."""
    root = pod.fd()
    try:
        if not _is_real_directory(layout.OWN, root):
            os.mkdir(layout.OWN, layout.DIRECTORY_MODE, dir_fd=root)
        own = open_directory_beneath(layout.OWN, root)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            os.close(os.open(layout.DELETING_MARK, flags, layout.FILE_MODE, dir_fd=own))
        finally:
            os.close(own)
    except OSError:
        return


def _is_real_directory(name: str, fd: int) -> bool:
    try:
        os.close(open_directory_beneath(name, fd))
    except OSError:
        return False
    return True


def _empty(
    fd: int,
    path: str,
    root: int,
    troubles: list[tuple[str, OSError]],
    *,
    keep: frozenset[str],
    depth: int = 0,
) -> None:
    """Deletes what is in the directory ``fd``; ``path`` is its name in the pod, for ``troubles``."""
    stuck = set(keep)
    while True:
        with os.scandir(fd) as entries:
            wanted = (entry for entry in entries if entry.name not in stuck)
            some = [
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in islice(wanted, _ENTRIES_AT_ONCE)
            ]
        if not some:
            return
        for name, is_directory in some:
            try:
                if is_directory:
                    _delete_directory(name, fd, path, root, troubles, depth)
                else:
                    os.unlink(name, dir_fd=fd)
            except FileNotFoundError:
                continue
            except OSError as error:
                stuck.add(name)
                # A directory that is not empty has its own trouble inside.
                if error.errno != errno.ENOTEMPTY or not troubles:
                    troubles.append((path + name, error))


def _delete_directory(
    name: str, fd: int, path: str, root: int, troubles: list[tuple[str, OSError]], depth: int
) -> None:
    if depth >= _DEEPEST:
        os.rename(name, f".deep-{os.urandom(8).hex()}", src_dir_fd=fd, dst_dir_fd=root)
        return
    try:
        inner = open_directory_beneath(name, fd)
    except PermissionError:
        _make_accessible(name, fd)
        inner = open_directory_beneath(name, fd)
    try:
        if os.geteuid() != 0:
            os.fchmod(inner, 0o700)
        _empty(inner, f"{path}{name}/", root, troubles, keep=frozenset(), depth=depth + 1)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=fd)


def _make_accessible(name: str, fd: int) -> None:
    """For users other than root: a directory of theirs that they may not read."""
    place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)
    finally:
        os.close(place)

"""Where a pod is on the disk: paths, finding one among the six directories, opening, making.

Whoever looks goes through the directories in the order of ``Directory``. Pods only move onwards, so
one that moves meanwhile is found further on, never missed.
"""

from __future__ import annotations

import errno
import os
import stat

from carob.errors import Conflict, CorruptData, InvalidInput, NotFound
from carob.linux.files import make_directory_durably
from carob.linux.flock import FileLock, probe
from carob.pod import identifier
from carob.pod.failure import failed
from carob.pod.layout import DIRECTORY_MODE, PODS
from carob.pod.state import INCLUDE_MOST_DIRS, STATES, Directory, State, included, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.pod.pod import Pod

# In these the lock says nothing.
_LOCK_IS_MEANINGLESS = frozenset(
    directory for directory, (locked, unlocked) in STATES.items() if locked == unlocked
)
# A pod has five moves in its life; one that is elsewhere more often is not moving onwards.
_LOOKS = 16
_BIRTHS = 8


def directory_path(data_dir: str, directory: Directory) -> str:
    """The path of one of the six directories."""
    return f"{data_dir}/{PODS}/{directory}"


def pod_path(data_dir: str, directory: Directory, uuid: str) -> str:
    """The path of a pod that is in ``directory``."""
    return f"{data_dir}/{PODS}/{directory}/{uuid}"


def absolute(data_dir: str | os.PathLike[str]) -> str:
    """``data_dir`` as an absolute path, so that it means the same after a chdir."""
    return os.path.abspath(os.fspath(data_dir))


def make_directories(data_dir: str) -> None:
    """Makes the six directories where they are missing, durably."""
    try:
        for directory in Directory:
            path = directory_path(data_dir, directory)
            if not os.path.isdir(path):
                make_directory_durably(path, DIRECTORY_MODE)
    except OSError as error:
        raise failed(error, f"cannot make the data directory {data_dir}") from error


def locate(data_dir: str, uuid: str, *, lock: FileLock | None = None) -> tuple[Directory | None, bool]:
    """The directory that the pod is in (``None``: in none) and whether it is locked, at one instant.

    A lock is looked at through a descriptor made for it; ``lock`` is one that the caller holds, which
    need not and must not be tried. Raises ``CorruptData`` where something else has the pod's name,
    ``PermissionDenied`` and its like where looking is not possible.
    """
    held = os.fstat(lock.fd()) if lock is not None else None
    for _ in range(_LOOKS):
        for directory in Directory:
            path = pod_path(data_dir, directory, uuid)
            try:
                if directory in _LOCK_IS_MEANINGLESS or held is not None:
                    found = os.stat(path)
                    if not stat.S_ISDIR(found.st_mode):
                        raise NotADirectoryError(20, os.strerror(20), path)
                    locked = held is not None and os.path.samestat(found, held)
                    if directory in _LOCK_IS_MEANINGLESS or locked:
                        return directory, locked
                locked, device, inode = probe(path)
                now = os.stat(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise failed(error, f"cannot look at pod {uuid} in {directory}") from error
            # The lock seen is that of a pod in this directory only if the pod is there still.
            if (now.st_dev, now.st_ino) == (device, inode):
                return directory, locked
        if not any(os.path.lexists(pod_path(data_dir, directory, uuid)) for directory in Directory):
            return None, False
    raise CorruptData(
        f"pod {uuid} is in another directory at every look", hint="is it made anew all the time?"
    )


def open_lock(data_dir: str, uuid: str, first: Directory | None) -> FileLock:
    """The pod's directory, opened, not locked; looked for in ``first``, then everywhere.

    Raises ``NotFound`` where the pod is gone.
    """
    order = [*Directory] if first is None else [first, *Directory]
    for directory in order:
        try:
            return FileLock(pod_path(data_dir, directory, uuid))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise failed(error, f"cannot open pod {uuid} in {directory}") from error
    raise NotFound(f"pod {uuid} is gone")


def open_pod(data_dir: str | os.PathLike[str], uuid: str) -> Pod:
    """The pod with this whole identifier, in canonical form, open and not locked.

    Raises ``NotFound`` where it is in no directory, ``CorruptData`` where a file has its name.
    """
    from carob.pod.pod import Pod

    data_dir = absolute(data_dir)
    if fault := identifier.fault_of(uuid):
        raise InvalidInput(f"{uuid!r} is no pod's identifier: {fault}")
    directory, locked = locate(data_dir, uuid)
    if directory is None:
        raise NotFound(f"there is no pod {uuid} in {data_dir}", hint="carob list shows the pods")
    pod = Pod(data_dir, uuid, state_of(directory, locked=locked))
    pod.fd()
    return pod


def pod_from_uuid_string(data_dir: str | os.PathLike[str], uuid: str) -> Pod:
    """The pod whose identifier begins with ``uuid`` (in any case), open and not locked.

    Prefixes are looked up in ``prepare``, ``prepared``, ``run`` and ``exited-garbage``, as in rkt.
    Raises ``InvalidInput`` for an empty or ambiguous one, ``NotFound`` where none matches.
    """
    data_dir = absolute(data_dir)
    prefix = str(uuid).lower()
    if not prefix:
        raise InvalidInput("the pod's identifier is empty", hint="give the first characters of one")
    matches = sorted(
        {
            entry.name
            for directory in included(INCLUDE_MOST_DIRS)
            for entry in _entries(directory_path(data_dir, directory))
            if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False)
        }
    )
    if not matches:
        raise NotFound(f"no pod's identifier begins with {prefix!r}", hint="carob list shows the pods")
    if len(matches) > 1:
        raise InvalidInput(
            f"{len(matches)} pods' identifiers begin with {prefix!r}",
            hint=f"one of them is {matches[0]}: give more of it",
        )
    if fault := identifier.fault_of(matches[0]):
        raise CorruptData(f"{matches[0]!r} is not a pod: {fault}", hint="look at it and move it away")
    return open_pod(data_dir, matches[0])


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise failed(error, f"cannot list {path}") from error


def new_pod(data_dir: str | os.PathLike[str]) -> Pod:
    """Makes a pod with a new identifier: preparing, exclusively locked by the object returned.

    Close it when done; a pod closed before ``to_prepared`` or ``to_run`` is an aborted prepare. Raises
    ``PermissionDenied``, ``OutOfResources`` and their like where a directory cannot be made.
    """
    from carob.pod.pod import Pod

    data_dir = absolute(data_dir)
    make_directories(data_dir)
    for _ in range(_BIRTHS):
        uuid = identifier.new_uuid()
        path = pod_path(data_dir, Directory.EMBRYO, uuid)
        try:
            os.mkdir(path, DIRECTORY_MODE)
        except FileExistsError:
            continue
        except OSError as error:
            raise failed(error, f"cannot make a pod in {data_dir}") from error
        pod = Pod(data_dir, uuid, State.EMBRYO, created_by_me=True)
        try:
            pod.to_preparing()
        except (NotFound, Conflict):
            # A collector with no patience took the embryo before it was locked.
            pod.close()
            _remove_embryo(path)
        except BaseException:
            pod.close()
            _remove_embryo(path)
            raise
        else:
            return pod
    raise Conflict(f"a new pod in {data_dir} was taken away {_BIRTHS} times while it was made")


def _remove_embryo(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError as error:
        # Gone, or with something in it: a collector that took it notes there that it deletes it.
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise

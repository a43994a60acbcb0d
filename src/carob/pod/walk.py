"""All pods: listing the directories, telling their states from one look at the kernel's lock table.

How the states stay true while pods move and locks come and go. The directories are listed first, in the
order that pods go through them, so that no pod is missed; then the locks are read. A pod counts by what
was so at one moment of that time:

- embryo, prepared: at the listing; the lock says nothing.
- ``run``, unlocked: whoever enters ``run`` is locked, so the pod has ended by the time of the reading.
- any other: only if the pod is still in the directory after the reading. Else it is looked up alone.

A pod that was listed twice is looked up alone as well.
"""

from __future__ import annotations

import os
from itertools import repeat

from carob.errors import CarobError
from carob.linux.flock import probe
from carob.linux.proc import exclusively_locked
from carob.pod.directory import absolute, directory_path, locate, pod_path
from carob.pod.listing import BrokenPod, Listing, list_directory
from carob.pod.pod import Pod
from carob.pod.state import INCLUDE_ALL_DIRS, STATES, Directory, State, included, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def scan(
    data_dir: str | os.PathLike[str],
    include: int = INCLUDE_ALL_DIRS,
    broken: Callable[[BrokenPod], object] | None = None,
) -> list[tuple[str, State]]:
    """The identifier and state of every pod in the directories of ``include``, in no order.

    Costs a directory read and two of /proc/locks, where that is whole, and a probe of the lock a pod
    elsewhere. What is no pod goes to ``broken``. Nothing is made and no descriptor is kept. Raises
    ``PermissionDenied`` and its like if a directory cannot be listed.
    """
    data_dir = absolute(data_dir)
    report = broken or _ignore
    listings = [list_directory(data_dir, directory, report) for directory in included(include)]
    twice = _listed_twice(listings)
    locks = _Locks(listings)
    found: list[tuple[str, State]] = []
    alone: list[tuple[str, Directory]] = []
    for listing in listings:
        if listing.names:
            _tell(data_dir, listing, locks, twice, found, alone)
    for name, directory in dict(reversed(alone)).items():
        try:
            now, locked = _look_at(data_dir, name, directory, twice=name in twice)
        except CarobError as error:
            report(BrokenPod(name, directory, error.message))
            continue
        if now in included(include):
            found.append((name, state_of(now, locked=locked)))
    return found


def pods(data_dir: str | os.PathLike[str], include: int = INCLUDE_ALL_DIRS) -> Iterator[Pod | BrokenPod]:
    """Every pod in the directories of ``include``, by identifier; what is none, as ``BrokenPod``.

    Each pod is closed when the next one is asked for. Its directory is opened when something is read.
    """
    data_dir = absolute(data_dir)
    all_broken: list[BrokenPod] = []
    states = scan(data_dir, include, all_broken.append)
    everything: list[tuple[str, State | BrokenPod]] = [*states, *((one.name, one) for one in all_broken)]
    everything.sort(key=_name)
    for name, what in everything:
        if isinstance(what, BrokenPod):
            yield what
            continue
        with Pod(data_dir, name, what) as pod:
            yield pod


def walk_pods(data_dir: str | os.PathLike[str], include: int, f: Callable[[Pod | BrokenPod], object]) -> None:
    """Calls ``f`` for every pod in the directories of ``include``, by identifier; closes it afterwards.

    What is there and is no pod comes as ``BrokenPod`` and stops nothing. What ``f`` raises is raised.
    """
    for pod in pods(data_dir, include):
        f(pod)


def _name(entry: tuple[str, State | BrokenPod]) -> str:
    return entry[0]


def _ignore(broken: BrokenPod) -> None:
    """For callers that did not ask."""


def _listed_twice(listings: list[Listing]) -> frozenset[str]:
    """Names found in more than one directory: pods that moved meanwhile, or that somebody copied."""
    some = sorted((listing for listing in listings if listing.names), key=lambda one: len(one.names))
    seen: set[str] = set()
    twice: set[str] = set()
    for at, listing in enumerate(some):
        if seen:
            twice |= seen.intersection(listing.names)
        if at < len(some) - 1:
            seen.update(listing.names)
    return frozenset(twice)


# The first read of /proc/locks after some quiet takes the kernel 8 to 19 ms, a probe 0.01: up to this many
# pods are probed.
FEW = 128


class _Locks:
    """The lock table, read once for each device, and not before it is asked for."""

    __slots__ = ("_by_device", "_few", "_listings")

    def __init__(self, listings: list[Listing]) -> None:
        self._listings = listings
        self._few = sum([len(listing.names) for listing in listings]) <= FEW
        self._by_device: dict[int, tuple[dict[int, int], bool]] = {}

    def of(self, listing: Listing) -> tuple[dict[int, int], bool]:
        """The locked inodes, and whether those are all."""
        if self._few or not listing.in_lock_table:
            return {}, False
        known = self._by_device.get(listing.device)
        if known is None:
            try:
                known = exclusively_locked(listing.device, self._inodes)
            except OSError:
                known = {}, False
            self._by_device[listing.device] = known
        return known

    def _inodes(self) -> frozenset[int]:
        return frozenset(inode for listing in self._listings for inode in listing.inodes)


def _tell(
    data_dir: str,
    listing: Listing,
    locks: _Locks,
    twice: frozenset[str],
    found: list[tuple[str, State]],
    alone: list[tuple[str, Directory]],
) -> None:
    """Adds the listed pods to ``found``, and to ``alone`` those that must be looked at one by one."""
    directory = listing.directory
    locked_state, unlocked_state = STATES[directory]
    names = listing.names
    if twice:
        alone += [(name, directory) for name in names if name in twice]
        names = [name for name in names if name not in twice]
    if locked_state is unlocked_state:
        found.extend(zip(names, repeat(locked_state)))
        return
    locked, whole = locks.of(listing)
    if locked and not locked.keys().isdisjoint(listing.inodes):
        names = []
        for name, inode in zip(listing.names, listing.inodes, strict=True):
            if name in twice:
                continue
            if inode not in locked:
                names.append(name)
            elif _is_there(data_dir, directory, name, inode):
                found.append((name, locked_state))
            else:
                alone.append((name, directory))
    if not whole:
        alone += [(name, directory) for name in names]
    elif directory is Directory.RUN:
        found.extend(zip(names, repeat(unlocked_state)))
    elif names:
        still = _names_now(data_dir, directory)
        found += [(name, unlocked_state) for name in names if name in still]
        alone += [(name, directory) for name in names if name not in still]


def _is_there(data_dir: str, directory: Directory, name: str, inode: int) -> bool:
    try:
        return os.stat(pod_path(data_dir, directory, name)).st_ino == inode
    except OSError:
        return False


def _names_now(data_dir: str, directory: Directory) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory_path(data_dir, directory)))
    except OSError:
        return frozenset()


def _look_at(data_dir: str, name: str, directory: Directory, *, twice: bool) -> tuple[Directory | None, bool]:
    """Where one pod is and whether it is locked; most likely it is in ``directory`` still."""
    if not twice:
        path = pod_path(data_dir, directory, name)
        try:
            locked, device, inode = probe(path)
            now = os.stat(path)
            if (now.st_dev, now.st_ino) == (device, inode):
                return directory, locked
        except OSError:
            pass  # it has moved, or it is broken: looked for everywhere
    return locate(data_dir, name)

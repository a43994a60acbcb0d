"""Garbage collection of the image store: blobs and layers that nothing names or uses any more.

Two kinds of use are seen: what is written down (the index, and what ``in_use`` says of pods), and what is
only locked yet (blobs of a fetch under way, layers of a pod that is being prepared, ``TreeHold``). So
each candidate is locked exclusively, without waiting, and only then is all that is written down looked at
again: who let a lock go has written down before. A crash leaves what the next collection removes; parts of
blobs stay a while, for the next fetch to go on with.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from carob.errors import CarobError
from carob.image.aci.records import sweep_records
from carob.image.failures import translate
from carob.image.fetch.turn import try_turn
from carob.image.files.durable import sync_directory
from carob.image.files.locks import Lock, lock
from carob.image.files.rooted import remove_tree
from carob.image.layers.hands import open_hands
from carob.image.layers.trees import FORM, Trees, lock_layer
from carob.image.layers.workplace import try_workplace
from carob.image.store.blobs import PARTIAL, TURN
from carob.image.store.index import FIXED_TEMPORARIES
from carob.image.store.layout import QUARANTINE, TEMPORARY, Layout
from carob.image.store.reachable import reachable
from carob.spec.reference import is_digest

PARTIAL_GRACE_S = 86400.0
"""How long a part of a blob waits for a fetch to go on with it."""

QUARANTINE_GRACE_S = 7 * 86400.0
"""How long what ``image verify`` found broken can be looked at."""

CHAINS, RECORDS = ".chains", ".records"
"""Where ``Trees.chain_path`` and ``Trees.record_path`` lead."""

_AT_ONCE = 200
"""So many locks are held at one time: each takes a descriptor."""

InUse = Callable[[], Collection[str]]


@dataclass(frozen=True, slots=True)
class Collected:
    """What one collection removed: numbers of ``blobs`` and ``layers``, ``blob_bytes`` on disk, and the
    ``problems`` it passed over, one line each.
    """

    blobs: int
    layers: int
    blob_bytes: int
    problems: tuple[str, ...]


def gc(
    directory: str,
    *,
    in_use: InUse,
    grace_s: float = 0.0,
    partial_grace_s: float = PARTIAL_GRACE_S,
    quarantine_grace_s: float = QUARANTINE_GRACE_S,
) -> Collected:
    """Collects the image store of the data directory ``directory``.

    ``in_use`` returns the chain ids (``sha256:<hex>``; of a tree the last one will do) and image ids that
    preparing, prepared, running and exited pods have written down; it is called twice or more. Blobs
    changed within ``grace_s`` seconds are left alone: for stores that other tools, which do not know
    carob's locks, write to. Parts of blobs that nobody downloads, and quarantined objects, are left alone for
    their own graces. ``CorruptData`` where the index cannot be read: nothing is removed then.
    """
    collection = _Collection(os.path.abspath(directory), in_use, grace_s)
    try:
        return collection.run(partial_grace_s, quarantine_grace_s)
    except OSError as error:
        raise translate(error, f"collecting images in {directory}") from error


class _Collection:
    def __init__(self, directory: str, in_use: InUse, grace_s: float) -> None:
        self._directory = directory
        self._layout = Layout(directory + "/images")
        self._trees = Trees(directory)
        self._in_use = in_use
        self._grace_s = grace_s
        self._problems: list[str] = []

    def run(self, partial_grace_s: float, quarantine_grace_s: float) -> Collected:
        layers = self._collect_layers()
        self._remove_leftovers(partial_grace_s)
        self._remove_quarantined(quarantine_grace_s)
        blobs, blob_bytes = self._collect_blobs()
        sweep_records(self._directory, self._layout)
        return Collected(blobs, layers, blob_bytes, tuple(dict.fromkeys(self._problems)))

    def _used_layers(self) -> set[str]:
        """The chain ids in use, with those below them."""
        pods = self._layers_of_pods()
        images = reachable(self._layout)
        self._problems += images.problems
        return pods | set(images.chain_ids)

    def _layers_of_pods(self) -> set[str]:
        chains = (self._trees.chain_of(name) for name in set(self._in_use()) if is_digest(name))
        return {chain_id for chain in chains for chain_id in chain}

    def _collect_layers(self) -> int:
        used = self._used_layers()
        self._forget_lost_layers(used)
        candidates = sorted(self._layer_names() - used)
        return sum(self._collect_some_layers(part) for part in _parts(candidates))

    def _collect_some_layers(self, candidates: Sequence[str]) -> int:
        locks = self._lock_all(
            ((chain_id, self._trees.layer_path(chain_id)) for chain_id in candidates), lock_layer
        )
        try:
            unused = locks.keys() - self._used_layers() if locks else set()
            return sum(self._remove_layer(chain_id, locks) for chain_id in sorted(unused))
        finally:
            for held in locks.values():
                held.close()

    def _layer_names(self) -> set[str]:
        return {digest for name in _names(self._trees.layers) if is_digest(digest := "sha256:" + name)}

    def _remove_layer(self, chain_id: str, locks: dict[str, Lock]) -> bool:
        """Renames a layer away, which is its end, lets its lock go, and removes it."""
        try:
            workplace = try_workplace(self._trees.workplace(chain_id))
            if workplace is None:
                return False
            try:
                workplace.take_layer(self._trees.layer_path(chain_id))
                locks[chain_id].close()
                sync_directory(self._trees.layers)
                self._forget(chain_id)
            finally:
                workplace.discard()
        except OSError as error:
            self._problems.append(f"layer {chain_id}: {error.strerror}")
            return False
        return True

    def _forget(self, chain_id: str) -> None:
        """Removes what is written down about a layer; to be called with its workplace locked."""
        remove_tree(self._trees.chain_path(chain_id))
        remove_tree(self._trees.record_path(chain_id))

    def _forget_lost_layers(self, used: Collection[str]) -> None:
        """What is written down about layers that are not there, and that no pod and no image has: they were
        found broken, and put aside.
        """
        names = {name for path in (CHAINS, RECORDS) for name in _names(f"{self._trees.layers}/{path}")}
        known = {digest for name in names if is_digest(digest := "sha256:" + name)}
        for chain_id in known - self._layer_names() - set(used):
            workplace = try_workplace(self._trees.workplace(chain_id))
            if workplace is not None:
                if not os.path.lexists(self._trees.layer_path(chain_id)):
                    self._forget(chain_id)
                workplace.leave()

    def _remove_leftovers(self, partial_grace_s: float) -> None:
        """What writers that are dead left in the two directories of temporary files."""
        for name in _names(f"{self._trees.layers}/{TEMPORARY}"):
            if name != FORM:
                self._remove_workplace(f"{self._trees.layers}/{TEMPORARY}/{name}")
        directory = f"{self._layout.path}/{TEMPORARY}"
        paths = []
        for name in _names(directory):
            if name.endswith(TURN):
                self._remove_turn(f"{directory}/{name}")
            elif name in FIXED_TEMPORARIES:
                self._try(f"{directory}/{name}", partial(self._remove_fixed, f"{directory}/{name}"))
            else:
                paths.append(f"{directory}/{name}")
        for part in _parts(paths):
            for path, held in self._lock_all((path, path) for path in part).items():
                with held:
                    if path.endswith(PARTIAL) and _age_s(held.fd) < partial_grace_s:
                        continue
                    self._try(path, partial(remove_tree, path))

    def _remove_fixed(self, path: str) -> None:
        """A file that only who changes the index writes: nobody does while that is locked."""
        held = lock(self._layout.path, exclusive=True, wait=False)
        if held is None:
            return
        with held:
            remove_tree(path)

    def _remove_workplace(self, path: str) -> None:
        """Where a layer was being unpacked, by a process that is dead."""

        def discard() -> None:
            if (workplace := try_workplace(path)) is not None:
                workplace.discard()

        self._try(path, discard)

    def _remove_turn(self, path: str) -> None:
        """The fifo of a download whose process is dead."""

        def remove() -> None:
            if (turn := try_turn(path)) is not None:
                turn.close()

        self._try(path, remove)

    def _remove_quarantined(self, grace_s: float) -> None:
        layers = _names(f"{self._trees.layers}/{QUARANTINE}")
        if layers:
            # A pod that runs has its layer mounted, wherever that was moved.
            used = self._layers_of_pods()
            layers = [name for name in layers if "sha256:" + name.partition(".")[0] not in used]
        blobs = _names(f"{self._layout.path}/{QUARANTINE}")
        for parent, names in ((self._layout.path, blobs), (self._trees.layers, layers)):
            for path in (f"{parent}/{QUARANTINE}/{name}" for name in names):
                self._try(path, partial(_remove_old, path, grace_s))

    def _try(self, path: str, remove: Callable[[], object]) -> None:
        """Removes something; where that fails it is passed over."""
        try:
            remove()
        except OSError as error:
            self._problems.append(f"{path}: {error.strerror}")
        except CarobError as error:
            self._problems.append(f"{path}: {error.message}")

    def _collect_blobs(self) -> tuple[int, int]:
        there = {
            digest
            for name in _names(f"{self._layout.path}/blobs/sha256")
            if is_digest(digest := "sha256:" + name)
        }
        candidates = sorted(there - reachable(self._layout).blobs)
        count = size_bytes = 0
        for part in _parts(candidates):
            some, some_bytes = self._collect_some_blobs(part)
            count, size_bytes = count + some, size_bytes + some_bytes
        return count, size_bytes

    def _collect_some_blobs(self, candidates: Sequence[str]) -> tuple[int, int]:
        locks = self._lock_all((digest, self._layout.blob_path(digest)) for digest in candidates)
        count = size_bytes = 0
        try:
            unused = locks.keys() - reachable(self._layout).blobs if locks else set()
            for digest in sorted(unused):
                status = os.fstat(locks[digest].fd)
                if _age_s(locks[digest].fd) < self._grace_s:
                    continue
                os.unlink(self._layout.blob_path(digest))
                count += 1
                size_bytes += status.st_blocks * 512
        finally:
            for held in locks.values():
                held.close()
        return count, size_bytes

    def _lock_all(
        self, named_paths: Iterable[tuple[str, str]], lock: Callable[..., Lock | None] = lock
    ) -> dict[str, Lock]:
        """Exclusive locks on those that nobody has locked."""
        locks = {}
        for name, path in named_paths:
            try:
                held = lock(path, exclusive=True, wait=False)
            except (OSError, CarobError) as error:
                if not isinstance(error, FileNotFoundError):
                    self._problems.append(f"{path}: {error}")
                continue
            if held is not None:
                locks[name] = held
        return locks


def _remove_old(path: str, grace_s: float) -> None:
    """Removes what was renamed to ``path`` so long ago."""
    try:
        if time.time() - os.lstat(path).st_ctime < grace_s:
            return
    except FileNotFoundError:
        return
    hands = open_hands()
    try:
        hands.remove(path)
    finally:
        hands.close()


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many at a time as there may be locks."""
    for start in range(0, len(names), _AT_ONCE):
        yield names[start : start + _AT_ONCE]


def _age_s(fd: int) -> float:
    return time.time() - os.fstat(fd).st_mtime


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []

"""Garbage collection of the image store: blobs and layers that nothing names or uses any more.

Two kinds of use are seen: what is written down (the index, and what ``in_use`` says of pods), and what is
only locked yet (blobs of an import under way, layers of a pod that is being prepared, ``TreeHold``). So
each candidate is locked exclusively, without waiting, and only then is all that is written down looked at
again: who let a lock go has written down before. A crash leaves what the next collection removes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from carob.errors import CarobError
from carob.image.durable import sync_directory
from carob.image.failures import translate
from carob.image.index_update import FIXED_TEMPORARIES
from carob.image.layout import TEMPORARY, Layout
from carob.image.locks import Lock, lock
from carob.image.reachable import reachable
from carob.image.rooted import remove_tree
from carob.image.tree_unpack import UNPACKED, lock_workplace
from carob.image.trees import Trees
from carob.spec.reference import is_digest

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


def gc(directory: str, *, in_use: InUse, grace_s: float = 0.0) -> Collected:
    """Collects the image store of the data directory ``directory``.

    ``in_use`` returns the chain ids (``sha256:<hex>``; of a tree the last one will do) and image ids that
    preparing, prepared, running and exited pods have written down; it is called twice or more. Blobs
    changed within ``grace_s`` seconds are left alone: for stores that other tools, which do not know
    carob's locks, write to. ``CorruptData`` where the index cannot be read: nothing is removed then.
    """
    collection = _Collection(os.path.abspath(directory), in_use, grace_s)
    try:
        return collection.run()
    except OSError as error:
        raise translate(error, f"collecting images in {directory}") from error


class _Collection:
    def __init__(self, directory: str, in_use: InUse, grace_s: float) -> None:
        self._layout = Layout(directory + "/images")
        self._trees = Trees(directory)
        self._in_use = in_use
        self._grace_s = grace_s
        self._problems: list[str] = []

    def run(self) -> Collected:
        layers = self._collect_layers()
        self._remove_leftovers()
        blobs, blob_bytes = self._collect_blobs()
        return Collected(blobs, layers, blob_bytes, tuple(dict.fromkeys(self._problems)))

    def _used_layers(self) -> set[str]:
        """The chain ids in use, with those below them."""
        pods = set(self._in_use())
        images = reachable(self._layout)
        self._problems += images.problems
        used = set(images.chain_ids)
        for identifier in pods:
            if is_digest(identifier):
                used.update(self._trees.chain_of(identifier))
        return used

    def _collect_layers(self) -> int:
        candidates = self._layer_names() - self._used_layers()
        locks = self._lock_all((chain_id, self._trees.layer_path(chain_id)) for chain_id in candidates)
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
        path = self._trees.layer_path(chain_id)
        workplace = self._trees.workplace(chain_id)
        try:
            with lock_workplace(workplace):
                remove_tree(f"{workplace}/{UNPACKED}")
                os.rename(path, f"{workplace}/{UNPACKED}")
                locks[chain_id].close()
                sync_directory(self._trees.layers)
                remove_tree(f"{workplace}/{UNPACKED}")
                remove_tree(self._trees.chain_path(chain_id))
                os.rmdir(workplace)
        except OSError as error:
            self._problems.append(f"layer {chain_id}: {error.strerror}")
            return False
        return True

    def _remove_leftovers(self) -> None:
        """What writers that are dead left in the two directories of temporary files."""
        layer_workplaces = f"{self._trees.layers}/{TEMPORARY}"
        image_workplaces = f"{self._layout.path}/{TEMPORARY}"
        paths = [f"{layer_workplaces}/{name}" for name in _names(layer_workplaces)]
        paths += [
            f"{image_workplaces}/{name}" for name in _names(image_workplaces) if name not in FIXED_TEMPORARIES
        ]
        for path, held in self._lock_all((path, path) for path in paths).items():
            with held:
                try:
                    remove_tree(path)
                except OSError as error:
                    self._problems.append(f"{path}: {error.strerror}")

    def _collect_blobs(self) -> tuple[int, int]:
        there = {
            digest
            for name in _names(f"{self._layout.path}/blobs/sha256")
            if is_digest(digest := "sha256:" + name)
        }
        candidates = there - reachable(self._layout).blobs
        locks = self._lock_all((digest, self._layout.blob_path(digest)) for digest in candidates)
        count = size_bytes = 0
        try:
            unused = locks.keys() - reachable(self._layout).blobs if locks else set()
            for digest in sorted(unused):
                status = os.fstat(locks[digest].fd)
                if time.time() - status.st_mtime < self._grace_s:
                    continue
                os.unlink(self._layout.blob_path(digest))
                count += 1
                size_bytes += status.st_blocks * 512
        finally:
            for held in locks.values():
                held.close()
        return count, size_bytes

    def _lock_all(self, named_paths: Iterable[tuple[str, str]]) -> dict[str, Lock]:
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


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []

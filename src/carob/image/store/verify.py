"""Reading all of the store again, and putting aside what is broken: just that, nothing that uses it.

Blobs are hashed; unpacked layers are compared with what was recorded when they were unpacked; images are
looked through for what they lack. What is put aside is gone from the store: the next fetch brings a blob
again, and the next start, or fetch, unpacks a layer again.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from carob.errors import CarobError, CorruptData, NotFound, Unsupported
from carob.image.failures import translate
from carob.image.files.durable import make_directory, sync_directory
from carob.image.files.locks import lock
from carob.image.files.overlay import OverlayForm
from carob.image.layers.hands import open_hands
from carob.image.layers.mode import mode_here
from carob.image.layers.trees import Trees, lock_layer
from carob.image.store.layout import QUARANTINE, Layout, open_regular
from carob.image.store.listing import list_images
from carob.spec.reference import is_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.layers.hands import Hands


class Broken:
    """One broken object: ``kind`` is ``"blob"``, ``"layer"`` or ``"image"``; ``name`` its digest, chain id or
    name; ``problem`` a line; ``moved_to`` the path where it is now, ``""`` where it stayed.
    """

    __slots__ = ("kind", "moved_to", "name", "problem")

    def __init__(self, kind: str, name: str, problem: str, moved_to: str = "") -> None:
        self.kind = kind
        self.name = name
        self.problem = problem
        self.moved_to = moved_to

    def __repr__(self) -> str:
        return f"Broken({self.kind!r}, {self.name!r}, {self.problem!r}, {self.moved_to!r})"


class Verified:
    """What was read: ``blobs`` of ``blob_bytes``, ``layers``; ``unrecorded`` are chain ids of layers that
    were not checked, because nothing was recorded of them, or by a newer carob; and what is ``broken``.
    """

    __slots__ = ("blob_bytes", "blobs", "broken", "layers", "unrecorded")

    def __init__(
        self,
        blobs: int,
        blob_bytes: int,
        layers: int,
        unrecorded: tuple[str, ...],
        broken: tuple[Broken, ...],
    ) -> None:
        self.blobs = blobs
        self.blob_bytes = blob_bytes
        self.layers = layers
        self.unrecorded = unrecorded
        self.broken = broken


def verify_store(directory: str, *, quarantine: bool = True) -> Verified:
    """Verifies the store of a data directory. Nothing is changed without ``quarantine``; what a fetch or a
    start holds at the moment stays where it is. ``Conflict`` for the store of another user.
    """
    try:
        with ExitStack() as stack:
            return _Verification(directory, quarantine, stack).run()
    except OSError as error:
        raise translate(error, f"verifying the images in {directory}") from error


class _Verification:
    def __init__(self, directory: str, quarantine: bool, stack: ExitStack) -> None:
        self._layout = Layout(directory + "/images")
        self._trees = Trees(directory)
        # Owners of another user's layers are others to us: all of them would seem broken.
        mode = mode_here()
        self._trees.check_form(OverlayForm.USER if mode is None else mode.form)
        self._quarantine = quarantine
        self._broken: list[Broken] = []
        self._layers = [
            digest for name in _names(self._trees.layers) if is_digest(digest := "sha256:" + name)
        ]
        self._hands: Hands | None = None
        if self._layers:
            self._hands = open_hands()
            stack.callback(self._hands.close)

    def run(self) -> Verified:
        blobs = self._blob_names()
        layers = self._layers
        unrecorded: list[str] = []
        # Hashing and reading leave the interpreter to other threads.
        with ThreadPoolExecutor(os.cpu_count() or 1, "carob-verify") as workers:
            blob_bytes = sum(workers.map(self._check_blob, blobs))
            for chain_id, is_recorded in zip(layers, workers.map(self._check_layer, layers), strict=True):
                if not is_recorded:
                    unrecorded.append(chain_id)
        self._check_images()
        return Verified(len(blobs), blob_bytes, len(layers), tuple(sorted(unrecorded)), tuple(self._broken))

    def _blob_names(self) -> list[str]:
        directory = f"{self._layout.path}/blobs/sha256"
        found = []
        for name in sorted(_names(directory)):
            if is_digest("sha256:" + name):
                found.append("sha256:" + name)
            else:
                self._note("blob", name, "its name is not a digest", f"{directory}/{name}")
        return found

    def _check_blob(self, digest: str) -> int:
        """Hashes one blob; how many bytes it has."""
        path = self._layout.blob_path(digest)
        try:
            fd = open_regular(path)
        except FileNotFoundError:
            return 0  # collected meanwhile
        except CorruptData as error:
            self._note("blob", digest, error.message, path)
            return 0
        try:
            with open(fd, "rb", buffering=0) as file:
                actual = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
                size_bytes = os.fstat(file.fileno()).st_size
        except OSError as error:
            self._note("blob", digest, f"cannot be read: {error.strerror}", path)
            return 0
        if actual != digest:
            self._note("blob", digest, f"its digest is {actual}", path)
        return size_bytes

    def _check_layer(self, chain_id: str) -> bool:
        """Compares one layer with its record; whether it has one that can be read."""
        assert self._hands is not None
        path = self._trees.layer_path(chain_id)
        try:
            problems = self._hands.check(path, self._trees.record_path(chain_id))
        except (NotFound, FileNotFoundError):
            return not os.path.isdir(path)
        except Unsupported:  # a newer carob wrote it
            return False
        except CarobError as error:
            problems = [error.message]
        except OSError as error:  # one rotten layer stops no other's check
            problems = [f"cannot be read: {error.strerror}"]
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            self._note("layer", chain_id, problems[0] + more, path)
        return True

    def _check_images(self) -> None:
        """Names the images that lack something: what was put aside just now, or was lost before."""
        for summary in list_images(self._layout):
            if summary.problem:
                name = ", ".join(summary.names) or summary.image_id
                self._broken.append(Broken("image", name, summary.problem))

    def _note(self, kind: str, name: str, problem: str, path: str) -> None:
        moved_to = ""
        try:
            if self._quarantine:
                moved_to = self._put_aside(kind, path)
        except OSError as error:  # one that cannot be moved stops no other's check
            problem += f" ({error.strerror}, so it stays)"
            self._broken.append(Broken(kind, name, problem))
            return
        if not moved_to and not os.path.lexists(path):
            return  # collected meanwhile
        if self._quarantine and not moved_to:
            problem += " (in use at the moment, so it stays)"
        self._broken.append(Broken(kind, name, problem, moved_to))

    def _put_aside(self, kind: str, path: str) -> str:
        """Renames an object out of the store, unless somebody holds it."""
        parent, name = os.path.split(path)
        top = self._trees.layers if kind == "layer" else self._layout.path
        target = f"{top}/{QUARANTINE}/{name}.{os.urandom(4).hex()}"
        make_directory(os.path.dirname(target), mode=0o700)
        try:
            if kind == "layer":
                held = lock_layer(path, exclusive=True, wait=False, hands=self._hands)
            else:
                held = lock(path, exclusive=True, wait=False)
            if held is None:
                return ""
            with held:
                if kind == "layer" and self._hands is not None:
                    self._hands.move(path, target)
                else:
                    os.rename(path, target)
        except FileNotFoundError:
            return ""
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):
                raise
            os.rename(path, target)  # a link or a socket: nothing that could be locked, or held
        sync_directory(parent)
        return target


def _names(directory: str) -> Iterable[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []

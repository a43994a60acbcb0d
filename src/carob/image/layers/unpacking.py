"""Unpacking the layers of one image side by side, and giving them their names in order.

A layer is extracted without a look at others, in the thread that brings it; settled, when those below are;
and has its name once it is on disk: whoever completes the lowest one does that for all that are ready, with
one syncfs for them. Nobody waits for another process while there is work to do, and then only for the lowest
layer that is not there, so that two processes never wait for each other.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from carob.errors import Cancelled, Conflict
from carob.image.failures import translate
from carob.image.files.rooted import DIRECTORY
from carob.image.layers.extract import extract_layer
from carob.image.layers.hands import open_hands
from carob.image.layers.trees import lock_layer
from carob.image.layers.workplace import try_workplace
from carob.image.layers.writeback import WriteBack
from carob.image.tar.limits import LIMITS
from carob.linux.syscall import syncfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.files.locks import Lock
    from carob.image.layers.growing import LayerInput
    from carob.image.layers.trees import Trees
    from carob.image.layers.unsettled import Unsettled
    from carob.image.layers.workplace import Workplace
    from carob.image.store.resolved import ResolvedImage
    from carob.image.tar.limits import UnpackLimits

    OpenInput = Callable[[], LayerInput]

_LOOK_AGAIN_S = 0.05


class Unpacking:
    """Unpacks the layers of ``image`` into ``trees``; to be used with ``with``.

    Positions count from 0, the bottom. ``on_done`` is told each one that has its name, from one of the
    calling threads. Leaving the block early, when no call is under way any more, leaves nothing half-done.
    """

    def __init__(
        self,
        trees: Trees,
        image: ResolvedImage,
        *,
        limits: UnpackLimits | None = None,
        on_done: Callable[[int], object] | None = None,
    ) -> None:
        self._trees = trees
        self._image = image
        self._limits = limits or trees.limits or LIMITS
        self._on_done = on_done
        self._is_stopped = threading.Event()
        self._lock = threading.Lock()
        self._named = 0  # how many layers, from the bottom, have their names
        self._holds: list[Lock] = []  # on those layers
        self._asked: dict[int, OpenInput] = {}
        self._extracted: dict[int, tuple[Workplace, Unsettled]] = {}
        self._is_settling = False
        self._is_more_ready = False
        self._write_back: WriteBack | None = None

    def __enter__(self) -> Unpacking:
        self._hands = open_hands()
        try:
            self._trees.prepare(self._hands.mode.form)
            # Before anything is written: a failed write-back is told once to each file that was open by then.
            self._sync_fd = os.open(self._trees.layers, DIRECTORY)
        except OSError as error:
            self._hands.close()
            raise translate(error, f"unpacking {self._image.name}") from error
        except BaseException:
            self._hands.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        with ExitStack() as stack:  # all of it, whatever fails
            stack.callback(self._hands.close)
            stack.callback(os.close, self._sync_fd)
            for held in self._holds:
                stack.callback(held.close)
            for extracted in self._extracted.values():
                stack.callback(extracted[0].discard)
            if self._write_back is not None:
                stack.callback(self._write_back.close)

    def layer(self, position: int, open_input: OpenInput) -> None:
        """Extracts one layer from what ``open_input`` gives, which is closed in the end, or sees that it is
        there. Where another process is at it, that is left to ``finish``.

        Any number of threads may call this, in any order; again for one that failed. ``CorruptData`` where
        the layer is not what its diff id says, or is hostile; ``Unsupported``, ``OutOfResources``,
        ``PermissionDenied``, ``Cancelled``, and what reading raises.
        """
        self._asked[position] = open_input
        self._begin(position)
        self._settle_ready()

    def finish(self) -> None:
        """To be called when all calls of ``layer`` are back: returns when all layers have their names."""
        while True:
            self._settle_ready()
            position = self._named
            if position == len(self._image.chain_ids):
                return
            if position not in self._asked:
                path = self._trees.layer_path(self._image.chain_ids[position])
                raise Conflict(f"the layer {path} was collected meanwhile", hint="try again")
            if not self._begin(position):
                self._is_stopped.wait(_LOOK_AGAIN_S)

    def stop(self) -> None:
        """Ends what reads or waits, from any thread: it raises ``Cancelled``."""
        self._is_stopped.set()

    def _check(self) -> None:
        if self._is_stopped.is_set():
            raise Cancelled("called off")

    def _begin(self, position: int) -> bool:
        """Extracts a layer, unless it is there; false where another process is at it."""
        self._check()
        chain_id = self._image.chain_ids[position]
        path = self._trees.layer_path(chain_id)
        what = self._what(position)
        try:
            if os.path.lexists(path):
                return True
            workplace = try_workplace(self._trees.workplace(chain_id), self._hands)
            if workplace is None:
                return False
            try:
                if os.path.lexists(path):  # another one was quicker
                    workplace.leave()
                    return True
                unsettled = self._extract(position, workplace, what)
            except BaseException:
                workplace.discard()
                raise
        except OSError as error:
            raise translate(error, what) from error
        with self._lock:
            self._extracted[position] = workplace, unsettled
        return True

    def _extract(self, position: int, workplace: Workplace, what: str) -> Unsettled:
        source = self._asked[position]()

        def read(size: int) -> bytes:
            self._check()
            return source.read(size)

        with self._lock:
            if self._write_back is None:
                self._write_back = WriteBack(self._trees.layers)
        try:
            workplace.make_tree()
            return extract_layer(
                read,
                self._hands,
                what=what,
                diff_id=self._image.diff_ids[position],
                workplace=workplace,
                limits=self._limits,
            )
        finally:
            source.close()

    def _what(self, position: int) -> str:
        return f"layer {self._image.layers[position].digest}"

    def _settle_ready(self) -> None:
        """Settles and names all layers that can be: one thread at a time, which does it for all."""
        with self._lock:
            self._is_more_ready = True
            if self._is_settling:
                return
            self._is_settling = True
        try:
            while True:
                with self._lock:
                    if not self._is_more_ready:
                        self._is_settling = False
                        return
                    self._is_more_ready = False
                while self._settle_batch():
                    pass
        except BaseException:
            with self._lock:
                self._is_settling = False
            raise

    def _settle_batch(self) -> bool:
        """Settles those that are next and names them together; false where the next one is not there."""
        first = self._named
        if self._count_if_there(first):
            return True
        batch: list[Workplace] = []
        try:
            with ExitStack() as stack:
                for position in range(first, len(self._image.chain_ids)):
                    with self._lock:
                        extracted = self._extracted.pop(position, None)
                    if extracted is None:
                        break
                    batch.append(extracted[0])
                    stack.callback(batch[-1].discard)
                    self._settle(position, *extracted, [below.tree for below in batch[-2::-1]])
                if batch:
                    self._name(first, batch)
        except OSError as error:
            raise translate(error, f"unpacking {self._image.name}") from error
        for _ in batch:
            self._count()
        return bool(batch)

    def _settle(self, position: int, workplace: Workplace, unsettled: Unsettled, in_batch: list[str]) -> None:
        named = [self._trees.layer_path(chain_id) for chain_id in self._image.chain_ids[: self._named]]
        self._hands.settle(workplace, unsettled, [*in_batch, *named[::-1]], self._what(position))

    def _name(self, first: int, workplaces: Sequence[Workplace]) -> None:
        """Gives settled layers, from the one at ``first`` on, their names, when they are on disk.

        One syncfs for all: an fsync a file would cost a journal commit each.
        """
        trees, chain_ids = self._trees, self._image.chain_ids
        for position, workplace in enumerate(workplaces, first):
            with open(workplace.chain, "w", encoding="ascii") as file:
                file.writelines(chain_id + "\n" for chain_id in chain_ids[: position + 1])
            os.rename(workplace.chain, trees.chain_path(chain_ids[position]))
            os.rename(workplace.record, trees.record_path(chain_ids[position]))
        syncfs(self._sync_fd)
        for position, workplace in enumerate(workplaces, first):
            held = lock_layer(workplace.tree, exclusive=False, hands=self._hands)
            assert held is not None
            self._holds.append(held)
            self._hands.move(workplace.tree, trees.layer_path(chain_ids[position]))
        os.fsync(self._sync_fd)

    def _count_if_there(self, position: int) -> bool:
        """Whether a layer has its name; it is kept from garbage collection then."""
        if position == len(self._image.chain_ids):
            return False
        try:
            path = self._trees.layer_path(self._image.chain_ids[position])
            held = lock_layer(path, exclusive=False, hands=self._hands)
        except FileNotFoundError:
            return False
        assert held is not None
        self._holds.append(held)
        self._count()
        return True

    def _count(self) -> None:
        self._named += 1
        if self._on_done is not None and self._named - 1 in self._asked:
            self._on_done(self._named - 1)

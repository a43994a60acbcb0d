"""Whose hands work on the files of layers: this process's own, or, without root, those of workers in a user
namespace, who alone may touch what belongs to other owners.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from carob.image.files.rooted import DIRECTORY, remove_tree
from carob.image.layers.maker import ThreadMaker
from carob.image.layers.mode import mode_here
from carob.image.layers.settle import settle_tree
from carob.linux.syscall import rename_noreplace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from carob.image.layers.maker import Making
    from carob.image.layers.mode import UnpackMode
    from carob.image.layers.unsettled import Unsettled
    from carob.image.layers.workplace import Workplace

    class Maker(Protocol):
        """Makes the files of one layer out of pieces of its tar."""

        def take(self, piece: bytes) -> bool:
            """Hands a piece over; false where no more is wanted."""

        def finish(self) -> Unsettled:
            """Waits for the files, after the last piece; raises what went wrong."""

        def stop(self) -> None:
            """Ends it where it is, if it has not ended."""

    class Hands(Protocol):
        """What is done to the files of layers; from several threads at once."""

        @property
        def mode(self) -> UnpackMode:
            """How layers are unpacked."""

        def make(self, making: Making, workplace: Workplace) -> Maker:
            """Begins to make the files of one layer."""

        def settle(
            self, workplace: Workplace, unsettled: Unsettled, parents: Sequence[str], what: str
        ) -> None:
            """Settles a layer on those below it and finishes its record."""

        def move(self, source: str, target: str) -> None:
            """Renames a layer; never replaces another."""

        def remove(self, path: str) -> None:
            """Removes a file, or a directory with all that is in it; what is not there is fine."""

        def check(self, layer: str, record: str) -> list[str]:
            """Compares a layer with its record: what is wrong, a line each."""

        def copy(self, layers: Sequence[str], target: str) -> None:
            """Copies what overlayfs would show of layers, top first."""

        def pack(self, layers: Sequence[str], fd: int) -> None:
            """Writes the tar of what overlayfs would show of layers, top first, to an open file or pipe."""

        def disk_bytes(self, path: str) -> int:
            """What a tree takes on disk, hard links once."""

        def open_directory(self, path: str) -> int:
            """A descriptor of the directory at ``path``, which is the caller's."""

        def close(self) -> None:
            """Lets go of workers."""


def open_hands() -> Hands:
    """The hands that this process has. ``Unsupported`` where it is not root and gets no user namespace."""
    mode = mode_here()
    if mode is not None:
        return OwnHands(mode)
    from carob.image.layers.userns import WorkerHands

    return WorkerHands()


@contextmanager
def borrowed(hands: Hands | None = None) -> Iterator[Hands]:
    """Within the block, ``hands``; or, where there are none, some that end with it."""
    if hands is not None:
        yield hands
        return
    own = open_hands()
    try:
        yield own
    finally:
        own.close()


class OwnHands:
    """This process does it itself."""

    __slots__ = ("mode",)

    def __init__(self, mode: UnpackMode) -> None:
        self.mode = mode

    def make(self, making: Making, workplace: Workplace) -> Maker:
        """Begins to make the files of one layer, in a thread."""
        return ThreadMaker(making, self.mode)

    def settle(self, workplace: Workplace, unsettled: Unsettled, parents: Sequence[str], what: str) -> None:
        """Settles a layer on those below it and finishes its record."""
        settle_tree(workplace.tree, workplace.record, unsettled, parents, self.mode.form, what)

    def move(self, source: str, target: str) -> None:
        """Renames a layer; never replaces another."""
        rename_noreplace(source, target)

    def remove(self, path: str) -> None:
        """Removes a file, or a directory with all that is in it; what is not there is fine."""
        remove_tree(path)

    def check(self, layer: str, record: str) -> list[str]:
        """Compares a layer with its record: what is wrong, a line each."""
        from carob.image.layers.check import check_tree

        return check_tree(layer, record)

    def copy(self, layers: Sequence[str], target: str) -> None:
        """Copies what overlayfs would show of layers, top first."""
        from carob.image.files.copy import copy_tree

        copy_tree(layers, target)

    def pack(self, layers: Sequence[str], fd: int) -> None:
        """Writes the tar of what overlayfs would show of layers, top first, to an open file or pipe."""
        from carob.image.files.durable import write_all
        from carob.image.files.merged import pack_layers

        pack_layers(layers, lambda data: write_all(fd, data))

    def disk_bytes(self, path: str) -> int:
        """What a tree takes on disk, hard links once."""
        from carob.image.store.usage import tree_bytes

        return tree_bytes(path)

    def open_directory(self, path: str) -> int:
        """A descriptor of the directory at ``path``, which is the caller's."""
        return os.open(path, DIRECTORY | os.O_NOFOLLOW)

    def close(self) -> None:
        """Nothing to let go of."""

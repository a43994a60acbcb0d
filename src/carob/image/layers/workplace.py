"""The directory in which one layer is unpacked or removed, by one process at a time."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager

from carob.image.files.locks import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from carob.image.files.locks import Lock
    from carob.image.layers.hands import Hands

UNPACKED = "tree"
_RECORD = "record"


def try_workplace(path: str, hands: Hands | None = None) -> Workplace | None:
    """The workplace, empty; ``None`` where another process, or thread, has it.

    Without ``hands`` it takes its own where there is something to do.
    """
    held = _lock(path)
    if held is None:
        return None
    workplace = Workplace(path, held, hands)
    try:
        workplace.clear()
    except BaseException:
        held.close()
        raise
    return workplace


def _lock(path: str) -> Lock | None:
    """Whoever holds the lock removes the directory at the end; who comes then makes it anew."""
    while True:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        try:
            return lock(path, exclusive=True, wait=False)
        except FileNotFoundError:
            continue


class Workplace:
    """A workplace that is ours: ``tree`` is the layer's path in it and ``record`` that of its record."""

    __slots__ = ("_hands", "_held", "path", "record", "tree")

    def __init__(self, path: str, held: Lock, hands: Hands | None) -> None:
        self.path = path
        self.tree = f"{path}/{UNPACKED}"
        self.record = f"{path}/{_RECORD}"
        self._held = held
        self._hands = hands

    @property
    def lock_fd(self) -> int:
        """The descriptor that the lock belongs to."""
        return self._held.fd

    def make_tree(self) -> None:
        """Makes the empty directory of the layer; a default ACL of the store is nothing to it."""
        os.mkdir(self.tree, 0o755)
        for name in ("system.posix_acl_default", "system.posix_acl_access"):
            try:
                os.removexattr(self.tree, name)
            except OSError as error:
                if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
                    raise

    def clear(self) -> None:
        """Removes what is in it, perhaps of a process that died."""
        for path in (self.tree, self.record):
            if os.path.lexists(path):
                with self._borrowed() as hands:
                    hands.remove(path)

    def take_layer(self, path: str) -> None:
        """Moves a layer in here, which is its end."""
        with self._borrowed() as hands:
            hands.move(path, self.tree)

    @contextmanager
    def _borrowed(self) -> Iterator[Hands]:
        if self._hands is not None:
            yield self._hands
            return
        from carob.image.layers.hands import open_hands

        hands = open_hands()
        try:
            yield hands
        finally:
            hands.close()

    def leave(self) -> None:
        """Removes the empty directory, and lets the next one have it."""
        try:
            os.rmdir(self.path)
        finally:
            self._held.close()

    def discard(self) -> None:
        """Removes it with all that is in it."""
        try:
            self.clear()
            os.rmdir(self.path)
        finally:
            self._held.close()

"""The directory in which one layer is unpacked or removed, by one process at a time."""

from __future__ import annotations

import errno
import os

from carob.image.files.locks import lock
from carob.image.layers.hands import borrowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.files.locks import Lock
    from carob.image.layers.hands import Hands

UNPACKED = "tree"
_RECORD = "record"
_CHAIN = "chain"


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
    """A workplace that is ours. Paths in it: ``tree`` of the layer, ``record`` of what will be its record,
    ``chain`` of the list of the layers below.
    """

    __slots__ = ("_hands", "_held", "chain", "path", "record", "tree")

    def __init__(self, path: str, held: Lock, hands: Hands | None) -> None:
        self.path = path
        self.tree = f"{path}/{UNPACKED}"
        self.record = f"{path}/{_RECORD}"
        self.chain = f"{path}/{_CHAIN}"
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
        for path in (self.tree, self.record, self.chain):
            if os.path.lexists(path):
                with borrowed(self._hands) as hands:
                    hands.remove(path)

    def take_layer(self, path: str) -> None:
        """Moves a layer in here, which is its end."""
        with borrowed(self._hands) as hands:
            hands.move(path, self.tree)

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

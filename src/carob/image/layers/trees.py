"""The unpacked layers: one directory each, named by chain id, shared by all images and pods.

::

    <dir>/layers/<hex of the chain id>/          one layer, whole, as overlayfs wants a lower directory
    <dir>/layers/.tmp/<hex>/tree                 one being unpacked, or what a crash left of it
    <dir>/layers/.tmp/<hex>                      exclusively flocked by whoever unpacks or removes it
    <dir>/layers/.tmp/<hex>/record               its record, meanwhile
    <dir>/layers/.chains/<hex>                   the chain ids from the bottom up to this one, a line each
    <dir>/layers/.records/<hex>                  what each file of it is to be (``record``)
    <dir>/layers/.form                           the form of overlay's attributes, where it is not root's

A layer has its name only when it is whole, verified and on disk. What a crash left under ``.tmp`` is
removed by the next one that unpacks this layer, or by garbage collection.
"""

from __future__ import annotations

import os

from carob.errors import CorruptData, NotFound, PermissionDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from carob.image.files.locks import Lock
    from carob.image.files.overlay import OverlayForm
    from carob.image.layers.hands import Hands
    from carob.image.store.resolved import ResolvedImage
    from carob.image.tar.limits import UnpackLimits


EMPTY_TREE_ID = "sha256-" + "0" * 64
"""The id of the tree of an image without layers."""

FORM = ".form"
"""The file that says the form of the layers, and its name under ``.tmp`` until it is whole."""


class Tree:
    """The file system of an image: layers, none of which may be written to.

    - ``tree_id``: ``sha256-<hex of the last chain id>``.
    - ``chain_ids``: ``sha256:<hex>``, bottom first.
    - ``lower_dirs``: absolute paths, the top layer first, in overlayfs's ``lowerdir`` order.

    An image without layers has no lower directory, and ``EMPTY_TREE_ID``.
    """

    __slots__ = ("chain_ids", "lower_dirs", "tree_id")

    tree_id: str
    chain_ids: tuple[str, ...]
    lower_dirs: tuple[str, ...]

    def __init__(self, chain_ids: Sequence[str], lower_dirs: Sequence[str]) -> None:
        set_slot = object.__setattr__
        set_slot(self, "tree_id", chain_ids[-1].replace(":", "-") if chain_ids else EMPTY_TREE_ID)
        set_slot(self, "chain_ids", tuple(chain_ids))
        set_slot(self, "lower_dirs", tuple(lower_dirs))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Tree does not change: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return Tree, (self.chain_ids, self.lower_dirs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tree):
            return NotImplemented
        return self.lower_dirs == other.lower_dirs

    def __hash__(self) -> int:
        return hash(self.lower_dirs)

    def __repr__(self) -> str:
        return f"Tree({self.tree_id!r}, {len(self.lower_dirs)} layers)"

    def copy_to(self, target: str) -> None:
        """Copies the merged tree into ``target``, a directory that is empty or is made: for where overlay
        is not to be had. Whiteouts are resolved; holes, hard links, owners, modes, times and extended
        attributes are kept. Not atomic and not durable: that is the caller's affair.
        """
        from carob.image.layers.hands import open_hands

        hands = open_hands()
        try:
            hands.copy(self.lower_dirs, target)
        finally:
            hands.close()


class TreeHold:
    """A tree that garbage collection leaves alone while this is held, also where no pod names it yet.

    Its layers carry shared locks, which die with the process. Close it (or leave ``with``) when the file
    that says which pod uses the tree is written. ``tree`` is the tree.
    """

    __slots__ = ("_locks", "tree")

    def __init__(self, tree: Tree, locks: list[Lock]) -> None:
        self.tree = tree
        self._locks = locks

    def close(self) -> None:
        """Lets go; a second call does nothing."""
        while self._locks:
            self._locks.pop().close()

    def __enter__(self) -> Tree:
        return self.tree

    def __exit__(self, *_: object) -> None:
        self.close()


class Trees:
    """The unpacked layers of the data directory ``directory``; opening costs nothing.

    ``limits`` are the bounds of a layer that is unpacked; ``None`` stands for the usual ones.
    """

    __slots__ = ("directory", "layers", "limits")

    def __init__(self, directory: str, *, limits: UnpackLimits | None = None) -> None:
        self.directory = os.path.abspath(directory)
        self.layers = self.directory + "/layers"
        self.limits = limits

    def ensure(self, image: ResolvedImage) -> Tree:
        """The tree of an image; unpacks what is missing, once however many processes ask.

        Costs one stat a layer when all are there. ``CorruptData`` where a layer is not what its digests
        say, or is hostile; ``Unsupported``, ``OutOfResources``, ``PermissionDenied``. Nothing half
        unpacked is left in any case.
        """
        paths = [self.layer_path(chain_id) for chain_id in image.chain_ids]
        for path in paths:
            if not _is_there(path):
                self._unpack(image)
                break
        return Tree(image.chain_ids, paths[::-1])

    def hold(self, image: ResolvedImage) -> TreeHold:
        """Like ``ensure``, and keeps garbage collection from the layers until the hold is closed."""
        while True:
            tree = self.ensure(image)
            locks: list[Lock] = []
            try:
                for path in tree.lower_dirs:
                    held = lock_layer(path, exclusive=False)
                    assert held is not None
                    locks.append(held)
                return TreeHold(tree, locks)
            except FileNotFoundError:  # collected since we looked: unpack it again
                TreeHold(tree, locks).close()
            except BaseException:
                TreeHold(tree, locks).close()
                raise

    def get(self, tree_id: str) -> Tree:
        """The tree of a ``tree_id`` that a pod has written down; ``NotFound`` where a layer is gone."""
        chain_ids = self.chain_of(tree_id.replace("-", ":", 1)) if tree_id != EMPTY_TREE_ID else ()
        paths = [self.layer_path(chain_id) for chain_id in chain_ids]
        for path in paths:
            if not _is_there(path):
                raise NotFound(f"the layer {path} is gone", hint="import or fetch the image again")
        return Tree(chain_ids, paths[::-1])

    def chain_of(self, chain_id: str) -> tuple[str, ...]:
        """The chain ids from the bottom up to ``chain_id``; itself alone where the layer is not there."""
        try:
            with open(self.chain_path(chain_id), encoding="ascii") as file:
                lines = tuple(file.read().split())
        except FileNotFoundError:
            return (chain_id,)
        if not lines or lines[-1] != chain_id:
            raise CorruptData(f"{self.chain_path(chain_id)} is not about this layer")
        return lines

    def chain_path(self, chain_id: str) -> str:
        """The file that says which layers are below one."""
        return f"{self.layers}/.chains/{os.path.basename(self.layer_path(chain_id))}"

    def record_path(self, chain_id: str) -> str:
        """The file that says what is in a layer."""
        return f"{self.layers}/.records/{os.path.basename(self.layer_path(chain_id))}"

    def workplace(self, chain_id: str) -> str:
        """The directory in which a layer is unpacked or removed."""
        return f"{self.layers}/.tmp/{os.path.basename(self.layer_path(chain_id))}"

    def layer_path(self, chain_id: str) -> str:
        """Where the layer of a chain id is, or would be."""
        algorithm, _, digits = chain_id.partition(":")
        if algorithm != "sha256" or not digits.isalnum():
            raise CorruptData(f"{chain_id[:100]!r} is not a chain id")
        return f"{self.layers}/{digits}"

    def form(self) -> OverlayForm:
        """The form that the layers are in, which mounts of them have to know."""
        from carob.image.files.overlay import OverlayForm

        try:
            with open(f"{self.layers}/{FORM}", encoding="ascii") as file:
                return OverlayForm(file.read().strip())
        except FileNotFoundError:
            return OverlayForm.TRUSTED
        except ValueError as error:
            raise CorruptData(f"{self.layers}/{FORM} is none that this carob knows") from error

    def prepare(self, form: OverlayForm) -> None:
        """Makes the directories that layers are unpacked in, where they are missing.

        ``Conflict`` where there are layers of another form than ``form``.
        """
        from carob.image.files.durable import make_directory, replace_file
        from carob.image.files.locks import lock

        # Set-id files of images are in there: nobody but the owner gets to them past this directory.
        for name in ("", "/.tmp", "/.chains", "/.records"):
            make_directory(self.layers + name, mode=0o700)
        if self.form() is form:
            return
        held = lock(self.layers, exclusive=True)
        assert held is not None
        with held:
            self.check_form(form)
            if self.form() is not form:
                replace_file(
                    f"{self.layers}/{FORM}",
                    form.value.encode() + b"\n",
                    temporary=f"{self.layers}/.tmp/{FORM}",
                )

    def check_form(self, form: OverlayForm) -> None:
        """``Conflict`` where there are layers of another form than ``form``: another user's."""
        from carob.errors import Conflict
        from carob.image.files.overlay import OverlayForm

        there = self.form()
        if there is form or not os.path.isdir(self.layers):
            return
        if form is OverlayForm.TRUSTED or any(not name.startswith(".") for name in os.listdir(self.layers)):
            raise Conflict(
                f"{self.layers} has layers for overlays in the form {there.value!r}, not {form.value!r}",
                hint="root and other users each need a data directory of their own",
            )

    def _unpack(self, image: ResolvedImage) -> None:
        from carob.image.layers.ensure import unpack_layers
        from carob.image.store.layout import Layout

        unpack_layers(self, Layout(self.directory + "/images"), image)


def lock_layer(path: str, *, exclusive: bool, wait: bool = True, hands: Hands | None = None) -> Lock | None:
    """Locks the directory of a layer, as ``lock`` does: shared by who needs it, else by who takes it away.

    To lock a directory it has to be opened, and an image may have closed its own to us, who are not root:
    then one of ``hands`` opens it.
    """
    from carob.image.files.locks import lock

    try:
        return lock(path, exclusive=exclusive, wait=wait)
    except PermissionDenied:
        from carob.image.layers.hands import borrowed

        with borrowed(hands) as opener:
            return lock(path, exclusive=exclusive, wait=wait, open_directory=opener.open_directory)


def _is_there(path: str) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True

"""Making the layers of an image that are not there yet: once, whole, whoever else tries."""

from __future__ import annotations

import os
from collections.abc import Sequence

from carob.image.durable import make_directory, sync_directory
from carob.image.failures import translate
from carob.image.layer_unpack import unpack_layer
from carob.image.layout import Layout
from carob.image.locks import Lock, lock
from carob.image.resolved import ResolvedImage
from carob.image.rooted import DIRECTORY, remove_tree
from carob.image.trees import Trees
from carob.linux.syscall import rename_noreplace, syncfs

TEMPORARY = ".tmp"
CHAINS = ".chains"
UNPACKED = "tree"


def unpack_layers(trees: Trees, layout: Layout, image: ResolvedImage) -> None:
    """Unpacks the missing layers, bottom first: each takes the attributes of directories it only passes
    through from those below.
    """
    try:
        # Set-id files of images are in there: nobody but the owner gets to them past this directory.
        make_directory(trees.layers, mode=0o700)
        make_directory(f"{trees.layers}/{TEMPORARY}", mode=0o700)
        make_directory(f"{trees.layers}/{CHAINS}", mode=0o700)
        for position, chain_id in enumerate(image.chain_ids):
            if not os.path.lexists(trees.layer_path(chain_id)):
                _unpack_once(trees, layout, image, position)
    except OSError as error:
        raise translate(error, f"unpacking {image.name}") from error


def _unpack_once(trees: Trees, layout: Layout, image: ResolvedImage, position: int) -> None:
    chain = image.chain_ids[: position + 1]
    path = trees.layer_path(chain[-1])
    workplace = trees.workplace(chain[-1])
    with lock_workplace(workplace):
        if os.path.lexists(path):
            os.rmdir(workplace)
            return  # another one was quicker
        unpacked = f"{workplace}/{UNPACKED}"
        remove_tree(unpacked)
        try:
            os.mkdir(unpacked, 0o755)
            parents = [trees.layer_path(chain_id) for chain_id in reversed(chain[:-1])]
            unpack_layer(layout, image.layers[position], image.diff_ids[position], unpacked, parents)
            _write_chain(trees, chain)
            _write_back(unpacked)
            rename_noreplace(unpacked, path)
        except BaseException:
            remove_tree(unpacked)
            os.rmdir(workplace)
            raise
        sync_directory(trees.layers)
        os.rmdir(workplace)


def _write_chain(trees: Trees, chain: Sequence[str]) -> None:
    """Says which layers are below; written back together with the layer."""
    path = trees.chain_path(chain[-1])
    with open(path, "w", encoding="ascii") as file:
        file.writelines(chain_id + "\n" for chain_id in chain)


def lock_workplace(workplace: str) -> Lock:
    """Makes and exclusively locks the directory in which one layer is unpacked or removed.

    Whoever holds the lock removes the directory at the end; who waited then makes it anew.
    """
    while True:
        try:
            os.mkdir(workplace, 0o700)
        except FileExistsError:
            pass
        try:
            held = lock(workplace, exclusive=True)
        except FileNotFoundError:
            continue
        assert held is not None
        return held


def _write_back(path: str) -> None:
    """One syncfs for the whole layer: an fsync a file would cost a journal commit each."""
    fd = os.open(path, DIRECTORY)
    try:
        syncfs(fd)
    finally:
        os.close(fd)

"""The file system of an image, or of a pod's app, out of the store: as a tar, as a directory, as an image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from carob.errors import InvalidInput
from carob.image.archives.output import opened_output
from carob.image.archives.pipe import pack
from carob.image.archives.rootfs import import_layers
from carob.image.failures import translate
from carob.image.layers.hands import borrowed
from carob.image.layers.trees import Trees
from carob.image.store.resolve import load_image
from carob.image.store.resolved import ResolvedImage
from carob.image.store.store import Store, new_image_name
from carob.spec.oci.document import encode_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.files.merged import Owners


def export_layers(layers: Sequence[str], target: str | int, owners: Owners | None = None) -> None:
    """Writes what overlayfs would show of ``layers`` (directories, top first) as a tar: to a path, all or
    nothing, or to an open file or pipe. ``owners`` as for ``pack``.
    """
    try:
        with opened_output(target) as fd:
            pack(layers, fd, owners)
    except OSError as error:
        raise translate(error, "exporting a file system") from error


def export_image(store: Store, trees: Trees, name: str, target: str | int) -> None:
    """Writes an image's file system as a tar."""
    with trees.hold(store.resolve(name)) as tree:
        export_layers(tree.lower_dirs, target)


def extract_image(store: Store, trees: Trees, name: str, target: str, *, rootfs_only: bool = True) -> None:
    """Makes the directory ``target`` with an image's file system in it: all or nothing. It must not be there,
    or be empty. Without ``rootfs_only``: with ``rootfs/``, ``manifest.json`` and ``config.json`` in it.
    """
    target = os.path.abspath(target)
    if os.path.lexists(target) and (not os.path.isdir(target) or os.listdir(target)):
        raise InvalidInput(f"{target} is not empty", hint="give a directory that is empty or not there")
    if not os.path.isdir(os.path.dirname(target)):
        raise InvalidInput(f"{os.path.dirname(target)} is not a directory")
    temporary = f"{os.path.dirname(target)}/.{os.path.basename(target)}.{os.urandom(4).hex()}"
    image = store.resolve(name)
    with trees.hold(image) as tree:
        try:
            if rootfs_only:
                tree.copy_to(temporary)
            else:
                os.mkdir(temporary)
                tree.copy_to(f"{temporary}/rootfs")
                _write(f"{temporary}/manifest.json", store.cat_manifest(name))
                _write(f"{temporary}/config.json", encode_document(image.config))
            os.rename(temporary, target)
        except BaseException as error:
            with borrowed() as hands:
                hands.remove(temporary)
            if isinstance(error, OSError):
                raise translate(error, f"extracting {name} to {target}") from error
            raise


def _write(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)


def commit_layers(
    store: Store,
    layers: Sequence[str],
    *,
    name: str,
    config: Mapping[str, Any] | None = None,
    owners: Owners | None = None,
) -> ResolvedImage:
    """Makes an image of one layer from what overlayfs would show of ``layers``; see ``Store.import_rootfs``
    for ``config``, ``pack`` for ``owners``.
    """
    target = new_image_name(name)
    try:
        descriptor = import_layers(store.layout, layers, target, dict(config or {}), owners)
    except OSError as error:
        raise translate(error, f"making the image {target}") from error
    return load_image(store.layout, target, descriptor)

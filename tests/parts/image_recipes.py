"""How the images of `BigImages` are written: each function makes a layout, in a new directory."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from tests.parts import change_layers, odd_tree, skopeo
from tests.parts.layer_tars import Packages, names_below, pack
from tests.parts.oci_layout import LAYER, REF_NAME, Descriptor, LayoutImage, LayoutWriter, architecture

_PACKAGE_LAYERS = 100


def compress(new: Path, form: str, images: Iterable[LayoutImage]) -> None:
    """The same images under the same tags, in ``gzip`` or ``zstd``, by skopeo."""
    for image in images:
        skopeo.copy(image.oci, f"oci:{new}:{image.tag}", "--dest-compress", f"--dest-compress-format={form}")


def divided(new: Path, rootfs: Path, patterns: Iterable[str], tag: str) -> None:
    """A layer for the packages that each pattern matches, upon one of all the rest."""
    writer = LayoutWriter(new)
    layers = [_layer(writer, rootfs, names) for names in Packages(rootfs).divided(patterns)]
    writer.image(layers, tag=tag, config={"Cmd": ["python3"]})
    writer.save()


def family(new: Path, rootfs: Path, base: LayoutImage, tags: Iterable[str]) -> None:
    """Images of all layers of ``base``, uncompressed ones, and a layer of their own."""
    writer = LayoutWriter(new)
    shared = [writer.file(base.blob(layer["digest"]), LAYER) for layer in base.layers()]
    for tag in tags:
        top = _made_layer(writer, partial(change_layers.application, rootfs, tag))
        writer.image([*shared, top], tag=tag, config={"WorkingDir": "/srv/app"})
    writer.save()


def many(new: Path, rootfs: Path, count: int, tag: str) -> None:
    """``count`` layers: the packages in a hundred, and changes in the others."""
    packages = Packages(rootfs)
    names = packages.all()
    heaps = min(_PACKAGE_LAYERS, len(names))
    patterns = ["|".join(map(re.escape, names[number::heaps])) for number in range(heaps)]
    writer = LayoutWriter(new)
    layers = [_layer(writer, rootfs, part) for part in packages.divided(patterns)]
    for number in range(count - len(layers)):
        layers.append(_made_layer(writer, partial(change_layers.change, rootfs, number)))
    writer.image(layers, tag=tag)
    writer.save()


def odd(new: Path, tag: str) -> None:
    """Two layers of all that there can be in a file system."""
    writer = LayoutWriter(new)
    layers = [_made_layer(writer, make, sparse=True) for make in (odd_tree.lower, odd_tree.upper)]
    writer.image(layers, tag=tag)
    writer.save()


def index(new: Path, image: LayoutImage, tag: str) -> None:
    """An index with the image, for this machine, and last; before it two others of its smallest layer."""
    writer = LayoutWriter(new)
    for path in (image.path / "blobs/sha256").iterdir():
        os.link(path, new / "blobs/sha256" / path.name)
    diff_ids: list[str] = image.configuration()["rootfs"]["diff_ids"]
    layer, diff_id = min(zip(image.layers(), diff_ids, strict=True), key=lambda pair: pair[0]["size"])
    entries: list[Descriptor] = []
    for other in ({"architecture": "s390x"}, {"architecture": "arm", "variant": "v5"}):
        platform = {"os": "linux", **other}
        made = writer.image([layer], diff_ids=[diff_id], platform=platform)
        entries.append({**made, "platform": platform})
    own = {name: value for name, value in image.descriptor.items() if name != "annotations"}
    assert image.descriptor["annotations"][REF_NAME] == image.tag
    entries.append({**own, "platform": {"os": "linux", "architecture": architecture()}})
    writer.index(entries, tag=tag)
    writer.save()


def _layer(writer: LayoutWriter, tree: Path, names: list[bytes], *, sparse: bool = False) -> Descriptor:
    """A layer, not compressed, of these names of a tree."""
    archive = writer.path / "layer.tar"
    pack(tree, names, archive, sparse=sparse)
    descriptor = writer.file(archive, LAYER)
    archive.unlink()
    return descriptor


def _made_layer(writer: LayoutWriter, make: Callable[[Path], None], *, sparse: bool = False) -> Descriptor:
    """A layer of all of a tree that ``make`` makes."""
    tree = writer.path / "tree"
    make(tree)
    descriptor = _layer(writer, tree, names_below(tree), sparse=sparse)
    shutil.rmtree(tree)
    return descriptor

"""A list of many images: carob's command beside the bare interpreter, and beside podman where it can keep up.

The images have one small layer in common, and a configuration, a manifest and a name each. They are written
by the tests' own writer of OCI layouts, and one such layout is all that carob's store is; podman loads the
same images from an archive in ``docker save``'s form.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.figure import Figure, Skipped, Unmeasurable
from bench.pairs import MODES, in_turn, timed
from bench.places import write_back
from bench.registry import reasons
from bench.setting import Setting
from carob import Engine

_COUNT = 1_000
_COUNT_PODMAN = 100
_LISTS = 15
_LISTS_PODMAN = 3
_SLOW = "podman 4.3 takes minutes for one such list, and more to load the images"


def images(setting: Setting) -> Iterator[Figure | Skipped]:
    """carob image list of 1,000 images beside the bare interpreter, and of 100 beside podman."""
    engine = Engine(os.path.join(setting.directory, f"images-{_COUNT}"))
    _fill(engine, _COUNT)
    ours, theirs = in_turn(
        [timed(engine.images.list), timed(lambda: _parse_loop(engine))], setting.pairs(_LISTS)
    )
    peer = "loop: read, parse documents"
    yield Figure(f"library: list {_COUNT:,} images", ours, MODES[0][0], peer=peer, theirs=theirs)
    what = f"carob image list, {_COUNT:,} images"
    try:
        installed = setting.installed
        command = [installed.command, f"--dir={engine.data_dir}", "image", "list"]
        takes = [
            lambda: setting.spawner.run(command)[0],
            lambda: setting.spawner.run([installed.python, "-c", "pass"])[0],
        ]
        for mode, gap_s in MODES:
            ours, theirs = in_turn(takes, setting.pairs(_LISTS), gap_s)
            yield Figure(what, ours, mode, peer="python3 -c pass", theirs=theirs)
        yield from _beside_podman(setting)
    except Unmeasurable as error:
        yield Skipped(what, str(error))


def _beside_podman(setting: Setting) -> Iterator[Figure | Skipped]:
    what = f"carob image list, {_COUNT_PODMAN} images"
    yield Skipped(f"podman images of {_COUNT:,}", _SLOW)
    engine = Engine(os.path.join(setting.directory, f"images-{_COUNT_PODMAN}"))
    _fill(engine, _COUNT_PODMAN)
    archive = os.path.join(setting.directory, "images.tar")
    _write_docker_archive(engine, archive)
    command = [setting.installed.command, f"--dir={engine.data_dir}", "image", "list"]
    try:
        podman = setting.podman_store
        podman.renew()
        try:
            podman.load(archive)
            takes = [lambda: setting.spawner.run(command)[0], podman.images]
            ours, theirs = in_turn(takes, setting.pairs(_LISTS_PODMAN))
        finally:
            podman.drop()
        yield Figure(what, ours, MODES[0][0], peer="podman images", theirs=theirs)
    except Unmeasurable as error:
        yield Skipped(f"{what}, beside podman", str(error))


def _fill(engine: Engine, count: int) -> None:
    """Writes the images of an engine that has none yet."""
    with reasons():
        from tests.parts.oci_layout import LAYER, LayoutWriter
    writer = LayoutWriter(Path(engine.data_dir, "images"))
    layer = writer.blob(_layer(), LAYER)
    for number in range(count):
        writer.image(
            [layer], tag=f"localhost/bench-{number:04}:latest", config={"Labels": {"n": str(number)}}
        )
    writer.save()
    write_back(engine.data_dir)
    whole = [one for one in engine.images.list() if not one.problem]
    if len(whole) != count:
        raise Unmeasurable(f"{len(whole)} images instead of {count}")


def _layer() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("etc/hostname"))
    return data.getvalue()


def _documents(engine: Engine) -> list[tuple[str, Any, bytes]]:
    """(name, manifest, configuration) of each image, as they are on disk."""
    images = os.path.join(engine.data_dir, "images")
    found = []
    for entry in json.loads(Path(images, "index.json").read_bytes())["manifests"]:
        manifest = json.loads(_blob(images, entry))
        found.append((next(iter(entry["annotations"].values())), manifest, _blob(images, manifest["config"])))
    return found


def _blob(images: str, descriptor: dict[str, Any]) -> bytes:
    with open(f"{images}/blobs/{descriptor['digest'].replace(':', '/')}", "rb") as file:
        return file.read()


def _parse_loop(engine: Engine) -> None:
    for _, _, configuration in _documents(engine):
        json.loads(configuration)


def _write_docker_archive(engine: Engine, path: str) -> None:
    """The same images as ``docker save`` would write them."""
    items = []
    with tarfile.open(path, "w") as archive:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

        add("layer.tar", _layer())
        for name, manifest, configuration in _documents(engine):
            file = manifest["config"]["digest"].partition(":")[2] + ".json"
            add(file, configuration)
            items.append({"Config": file, "RepoTags": [name], "Layers": ["layer.tar"]})
        add("manifest.json", json.dumps(items).encode())

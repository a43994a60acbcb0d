"""Random images, dependencies and whitelists against a model that reads as the specification does."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.unit.image.aci.made import aci, file, folder, manifest
from tests.unit.image.aci.place import LABELS, Place, Publish
from tests.unit.image.archives import hard_link, symlink

PATHS = ["a", "b", "a/x", "a/y", "b/x", "b/x/deep", "a/x/deep", "c", "c/z"]
Tree = dict[str, tuple[str, str]]


class Image:
    """``files`` in the order of the archive: path -> (kind, content); ``listed`` the whitelist."""

    def __init__(self, choose: random.Random, number: int, below: list[Image]) -> None:
        self.name = f"localhost/i{number}"
        self.dependencies = choose.sample(below, min(len(below), choose.choice([0, 1, 1, 2, 2])))
        self.listed = [] if choose.random() < 0.6 else ["/" + one for one in choose.sample(PATHS, 6)]
        self.files: dict[str, tuple[str, str]] = {}
        for path in sorted(choose.sample(PATHS, choose.randint(1, 6))):
            parents = [path[:index] for index, char in enumerate(path) if char == "/"]
            if all(self.files.get(parent, ("directory", ""))[0] == "directory" for parent in parents):
                self.files[path] = self._one(choose, path, number)

    def _one(self, choose: random.Random, path: str, number: int) -> tuple[str, str]:
        plain = [one for one, (kind, _) in self.files.items() if kind == "file"]
        kinds = ["file", "file", "directory", "symlink"] + ["link"] * bool(plain)
        kind = choose.choice(kinds)
        if kind == "link":
            return kind, choose.choice(plain)
        return kind, {"file": f"{path} of {number}", "directory": "", "symlink": choose.choice(PATHS)}[kind]

    def members(self) -> list[Any]:
        make = {
            "file": lambda path, content: file(path, content.encode()),
            "directory": lambda path, _: folder(path),
            "symlink": lambda path, target: symlink(f"rootfs/{path}", target),
            "link": lambda path, target: hard_link(f"rootfs/{path}", f"rootfs/{target}"),
        }
        return [make[kind](path, content) for path, (kind, content) in self.files.items()]


def rendered(image: Image, above: tuple[list[str], ...]) -> list[tuple[str, tuple[str, str]]]:
    """The files to extract one after the other (ace.md): dependencies first, each filtered by its own
    whitelist and by those of the images that depend on it.
    """
    lists = (*above, image.listed) if image.listed else above
    found = [one for dependency in image.dependencies for one in rendered(dependency, lists)]
    for path, (kind, content) in image.files.items():
        if all(is_listed(path, kind, listed) for listed in lists):
            real = image.files[content][1] if kind == "link" else content
            found.append((path, ("file" if kind == "link" else kind, real)))
    return found


def is_listed(path: str, kind: str, listed: list[str]) -> bool:
    above = kind == "directory" and any(one.startswith(f"/{path}/") for one in listed)
    return f"/{path}" in listed or above


def extracted(files: list[tuple[str, tuple[str, str]]]) -> Tree:
    """What is extracted replaces what is there; no link is followed on the way."""
    tree: Tree = {}

    def remove(path: str) -> None:
        for one in [one for one in tree if one == path or one.startswith(path + "/")]:
            del tree[one]

    for path, (kind, content) in files:
        for parent in [path[:index] for index, char in enumerate(path) if char == "/"]:
            if tree.get(parent, ("", ""))[0] != "directory":
                remove(parent)
                tree[parent] = ("directory", "")
        if kind != "directory" or tree.get(path, ("", ""))[0] != "directory":
            remove(path)
            tree[path] = (kind, content)
    return tree


def seen(top: Path) -> Tree:
    tree: Tree = {}
    for parent, directories, files in os.walk(top):
        for name in directories + files:
            path = Path(parent, name)
            kind = "symlink" if path.is_symlink() else "directory" if path.is_dir() else "file"
            content = os.readlink(path) if kind == "symlink" else path.read_text() if kind == "file" else ""
            tree[str(path.relative_to(top))] = (kind, content)
    return tree


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("way", ["discovery", "store"])
def test_the_tree_is_what_the_specification_says(place: Place, publish: Publish, seed: int, way: str) -> None:
    choose = random.Random(seed)
    images: list[Image] = []
    for number in range(5):
        images.append(Image(choose, number, images[-3:]))
        image = images[-1]
        fields: dict[str, Any] = {
            "dependencies": [{"imageName": one.name, "labels": LABELS} for one in image.dependencies],
            "pathWhitelist": image.listed,
        }
        if way == "discovery":
            publish(image.name, *image.members(), signer="", **fields)
        else:
            document = manifest(image.name, labels={"version": "1.0.0"}, **fields)
            made = place.fetch(place.write(aci(document, *image.members())), "image")
    if way == "discovery":
        made = place.fetch(f"appc:{images[-1].name}:1.0.0", "image")
    assert seen(place.tree(made)) == extracted(rendered(images[-1], ()))

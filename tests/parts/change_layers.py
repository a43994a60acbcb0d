"""Layers that change what is below them, as a build's later steps do; each as a tree with whiteouts in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"  # image-spec v1.1, layer.md
_BEGIN_NS = 1_600_000_000_123_456_789


def application(rootfs: Path, name: str, tree: Path) -> None:
    """``/srv/app``: the modules of the Python in ``rootfs`` as an application's own."""
    (library,) = (rootfs / "usr/lib").glob("python3.*")
    shutil.copytree(library, tree / "srv/app", symlinks=True)
    for path in sorted((tree / "srv/app").rglob("*.py")):
        if not path.is_symlink():
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"# of application {name}\n")
    _date(tree, len(name))


def change(rootfs: Path, number: int, tree: Path) -> None:
    """The change of this number to a Debian root file system and to what changes of lower numbers left."""
    tree.mkdir()
    own = tree / f"srv/change-{number - number % len(_KINDS)}"
    _KINDS[number % len(_KINDS)](own, rootfs, number)
    _date(tree, number)


def _add(own: Path, rootfs: Path, number: int) -> None:
    """Directories, links of both kinds, and a copy of something real."""
    for name in ("kept", "emptied", "becomes-file", "goes/deep/down"):
        (own / name).mkdir(parents=True)
        (own / name / "file").write_text(f"{name} of {number}\n" * 100)
    os.link(own / "kept/file", own / "kept/twin")
    (own / "link").symlink_to("kept")
    shutil.copy2(rootfs / "usr/bin/dpkg", own / "becomes-link")
    os.chown(own / "kept/file", 1000 + number, 50)
    (own / "kept/file").chmod(0o640)


def _remove_some(own: Path, rootfs: Path, number: int) -> None:
    """Files and whole directories, ours and Debian's."""
    own.mkdir(parents=True)
    (own / f"{WHITEOUT}goes").touch()
    (own / "kept").mkdir()
    (own / f"kept/{WHITEOUT}twin").touch()
    documents = sorted((rootfs / "usr/share/doc").iterdir())
    gone = own.parents[1] / f"usr/share/doc/{WHITEOUT}{documents[number % len(documents)].name}"
    gone.parent.mkdir(parents=True)
    gone.touch()


def _replace(own: Path, rootfs: Path, number: int) -> None:
    """Everything by something of another type."""
    (own / "emptied").mkdir(parents=True)
    (own / "emptied" / OPAQUE).touch()
    (own / "emptied/new").write_text("all that is here\n")
    (own / "becomes-file").write_text("no directory any more\n")
    (own / "becomes-link").symlink_to("/usr/bin/dpkg")
    (own / "link").mkdir()
    (own / "link/in").write_text("a directory now\n")


def _change_some(own: Path, rootfs: Path, number: int) -> None:
    """Attributes of a directory and of a file, and the same file of Debian's each time."""
    (own / "kept").mkdir(parents=True)
    (own / "kept").chmod(0o2775)
    (own / "kept/file").write_text("new content, and another owner\n")
    os.setxattr(own / "kept/file", "user.change", b"%d\0" % number)
    os.chown(own / "kept/file", 0, 4321)
    (own.parents[1] / "etc").mkdir()
    (own.parents[1] / "etc/debian_version").write_text(f"change {number}\n")


_KINDS: tuple[Callable[[Path, Path, int], None], ...] = (_add, _remove_some, _replace, _change_some)


def _date(tree: Path, number: int) -> None:
    """Gives all of the tree times of its own, to the nanosecond."""
    for step, path in enumerate(sorted(tree.rglob("*"))):
        time_ns = _BEGIN_NS + (number * 3600 + step) * 1_000_000_007
        os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)

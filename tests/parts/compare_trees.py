"""Two directory trees, compared entry by entry: all that lstat(2), the contents and the attributes tell."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Collection
from typing import NamedTuple

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_CHUNK = 1 << 20


class Entry(NamedTuple):
    """What there is to know of one name, each field as text or as bytes to be shown.

    ``links`` are all names of the same file within the tree, in order; ``content`` is the size and SHA-256.
    Fields that a type has not got are empty.
    """

    type: str
    mode: str
    owner: str
    mtime: str
    xattrs: tuple[tuple[str, bytes], ...]
    content: str
    links: tuple[bytes, ...]
    device: str
    target: bytes


FIELDS = Entry._fields


def read_tree(top: str | os.PathLike[str]) -> dict[bytes, Entry]:
    """Everything below ``top`` by its name from there, and ``top`` itself as ``b"."``.

    Needs to be root where not everything may be read. Mounts below are gone into.
    """
    root = os.fsencode(top)
    found = {b".": _read(root)}
    names_of: dict[tuple[int, int], list[bytes]] = {}
    for parent, directories, files in os.walk(root, onerror=_raise):
        for name in directories + files:
            path = os.path.join(parent, name)
            short = os.path.relpath(path, root)
            found[short] = _read(path)
            status = os.lstat(path)
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                names_of.setdefault((status.st_dev, status.st_ino), []).append(short)
    for names in names_of.values():
        for short in names:
            if len(names) > 1:
                found[short] = found[short]._replace(links=tuple(sorted(names)))
    return found


def differences(
    left: str | os.PathLike[str],
    right: str | os.PathLike[str],
    *,
    ignore: Collection[str] = (),
    skip: Callable[[bytes], bool] | None = None,
) -> list[str]:
    """One line for each thing that is not the same in both trees, by name: ``usr/bin/x: mode 0755 | 0644``.

    ``ignore`` names `FIELDS`; ``skip`` says of which names nothing is asked.
    """
    for field in ignore:
        assert field in FIELDS, field
    return compare(read_tree(left), read_tree(right), ignore=ignore, skip=skip)


def compare(
    left: dict[bytes, Entry],
    right: dict[bytes, Entry],
    *,
    ignore: Collection[str] = (),
    skip: Callable[[bytes], bool] | None = None,
) -> list[str]:
    """The same of two trees that were read."""
    found = []
    for name in sorted(left.keys() | right.keys()):
        if skip is not None and skip(name):
            continue
        shown = name.decode("utf-8", "backslashreplace")
        one, other = left.get(name), right.get(name)
        if one is None or other is None:
            only = "left" if other is None else "right"
            found.append(f"{shown}: only {only}, a {(one or other or _NOTHING).type}")
            continue
        found += [
            f"{shown}: {field} {a!r} | {b!r}" if not isinstance(a, str) else f"{shown}: {field} {a} | {b}"
            for field, a, b in zip(FIELDS, one, other, strict=True)
            if a != b and field not in ignore
        ]
    return found


_NOTHING = Entry("nothing", "", "", "", (), "", (), "", b"")


def _read(path: bytes) -> Entry:
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    return Entry(
        type=_TYPES[kind],
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
        owner=f"{status.st_uid}:{status.st_gid}",
        mtime=f"{status.st_mtime_ns}",
        xattrs=_attributes(path),
        content=_content(path, status.st_size) if kind == stat.S_IFREG else "",
        links=(),
        device=_device(status.st_rdev) if kind in (stat.S_IFCHR, stat.S_IFBLK) else "",
        target=os.readlink(path) if kind == stat.S_IFLNK else b"",
    )


def _device(number: int) -> str:
    return f"{os.major(number)}:{os.minor(number)}"


def _attributes(path: bytes) -> tuple[tuple[str, bytes], ...]:
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return ()
        raise
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)


def _content(path: bytes, size: int) -> str:
    hashing = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            hashing.update(chunk)
    return f"{size} bytes, sha256 {hashing.hexdigest()}"


def _raise(error: OSError) -> None:
    raise error

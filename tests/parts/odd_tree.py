"""Two trees that hold, one upon the other, what file systems and layers can hold. Made as root."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from tests.parts.change_layers import OPAQUE, WHITEOUT

_CAP_NET_RAW = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)  # vfs_cap_data, version 2, effective
_MEBIBYTE = 1 << 20

UMOCI_DIFFERS = frozenset({b"attributes/marked"})
"""What umoci 0.4 gets wrong: it loses attributes without a value, which GNU tar writes and unpacks."""


def access_list(user: int, permissions: int) -> bytes:
    """An ACL with one more user than the mode has, as the kernel stores it (linux/posix_acl_xattr.h)."""
    anybody = 0xFFFFFFFF
    entries = [(0x01, 6, anybody), (0x02, permissions, user), (0x04, 4, anybody), (0x10, 6, anybody)]
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *entry) for entry in [*entries, (0x20, 0, anybody)]
    )


def lower(tree: Path) -> None:
    """What is at the bottom."""
    tree.mkdir()
    tree.chmod(0o755)
    _special_files(tree / "special")
    _names(tree / "names")
    _attributes(tree / "attributes")
    _links(tree / "links")
    _holes(tree / "holes")
    for name in ("emptied", "becomes-file", "goes", "stays"):
        (tree / name / "deep").mkdir(parents=True)
        (tree / name / "file").write_text(name)
    (tree / "becomes-directory").write_text("a file")
    (tree / "comes-again").write_text("the first")
    _times(tree)


def upper(tree: Path) -> None:
    """What changes it."""
    tree.mkdir()
    tree.chmod(0o755)
    for name in ("emptied", "becomes-directory", "stays"):
        (tree / name).mkdir()
    (tree / "emptied" / OPAQUE).touch()
    (tree / "emptied/new").write_text("new")
    (tree / "becomes-file").write_text("a file now")
    (tree / "becomes-directory/in").write_text("a directory now")
    (tree / f"{WHITEOUT}goes").touch()
    (tree / f"{WHITEOUT}never-was").touch()
    (tree / f"{WHITEOUT}comes-again").touch()
    (tree / "comes-again").write_text("the second")
    (tree / "stays").chmod(0o1770)
    os.setxattr(tree / "stays", "user.upper", b"yes")
    (tree / f"stays/{WHITEOUT}deep").touch()


def _special_files(top: Path) -> None:
    top.mkdir()
    os.mkfifo(top / "fifo", 0o620)
    os.mknod(top / "null", 0o020666, os.makedev(1, 3))
    os.mknod(top / "loop", 0o060660, os.makedev(7, 300))
    os.mknod(top / "far", 0o020600, os.makedev(511, 70_000))
    os.chown(top / "loop", 0, 6)


def _names(top: Path) -> None:
    top.mkdir()
    for name in ("with space", "new\nline", "tab\tand\\backslash", "ünïcödé", "-dash", ".hidden", "é", "é"):
        (top / name).write_text(name)
    Path(os.fsdecode(os.fsencode(top) + b"/not-\xff\xfe-utf8")).write_text("bytes")
    (top / ("l" * 255)).write_text("long")
    deep = top.joinpath(*["d" * 90] * 5)
    deep.mkdir(parents=True)
    (deep / ("f" * 120)).write_text("far down")


def _attributes(top: Path) -> None:
    top.mkdir()
    for name, mode in (
        ("setuid", 0o4755),
        ("setgid", 0o2755),
        ("sticky", 0o1644),
        ("none", 0),
        ("all", 0o7777),
    ):
        (top / name).write_text(name)
        os.chown(top / name, 3_000_000, 4_000_000)
        (top / name).chmod(mode)
    (top / "capable").write_text("")
    (top / "capable").chmod(0o755)
    os.setxattr(top / "capable", "security.capability", _CAP_NET_RAW)
    (top / "listed").write_text("")
    os.setxattr(top / "listed", "system.posix_acl_access", access_list(1234, 6))
    (top / "listing").mkdir()
    os.setxattr(top / "listing", "system.posix_acl_default", access_list(1234, 4))
    (top / "noted").write_text("")
    for name, value in (("user.binary", b"\x00=\xff\n\x80"), ("trusted.note", b"a=b\n")):
        os.setxattr(top / "noted", name, value)
    (top / "marked").write_text("")
    os.setxattr(top / "marked", "user.empty", b"")
    (top / "closed").mkdir()
    (top / "closed/in").write_text("unread")
    (top / "closed").chmod(0o000)


def _links(top: Path) -> None:
    top.mkdir()
    (top / "a").write_text("one file of three names")
    (top / "sub").mkdir()
    os.link(top / "a", top / "sub/b")
    os.link(top / "a", top / "z")
    for name, target in (
        ("dangling", "nowhere"),
        ("absolute", "/links/a"),
        ("up", "../../../../links/a"),
        ("itself", "itself"),
        ("long", "x/" * 200),
    ):
        (top / name).symlink_to(target)
    os.link(top / "dangling", top / "dangling-too", follow_symlinks=False)


def _holes(top: Path) -> None:
    top.mkdir()
    with open(top / "holes", "wb") as file:
        for place in (0, 3, 7):
            file.seek(place * _MEBIBYTE)
            file.write(b"data" * 1024)
        file.truncate(16 * _MEBIBYTE)
    with open(top / "nothing-but-a-hole", "wb") as file:
        file.truncate(5 * _MEBIBYTE)


def _times(tree: Path) -> None:
    times_ns = (-1_500_000_001, 0, 1_234_567_890_123_456_789, 8_000_000_000_000_000_001)  # 1969 to 2223
    for step, path in enumerate(sorted(tree.rglob("*"))):
        time_ns = times_ns[step % len(times_ns)] + step
        os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)

"""The data directory: whether it can be written, what it is on, how much room there is, overlays on it."""

from __future__ import annotations

import os
import shutil
import tempfile

from carob.engine.doctor.check import FAILED, LACKING, OK, Check, needed, wanted
from carob.linux import mount
from carob.linux.files import file_system_type
from carob.linux.proc import locks_are_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TOPIC = "data directory"
_LITTLE_BYTES = 1 << 30
_TOO_LITTLE_BYTES = 64 << 20
_FEW_FILES = 10_000
_NAMES = {
    0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x01021994: "tmpfs", 0xF2F52010: "f2fs",
    0x794C7630: "overlay", 0x6969: "NFS", 0x65735546: "FUSE", 0x2FC12FC1: "zfs", 0xFF534D42: "CIFS",
}  # fmt: skip
_REMOTE = ("NFS", "CIFS", "FUSE")
_ELSEWHERE = "put it on ext4, xfs or btrfs: --dir, or dir in carob.toml"


def checks(data_dir: str) -> Iterable[Check]:
    """All about the data directory; where it is not there yet, about the one that it would be made in."""
    place = data_dir
    while not os.path.isdir(place) and place != "/":
        place = os.path.dirname(place)
    writable = os.access(place, os.W_OK | os.X_OK)
    state = "" if place == data_dir else " (not there yet)"
    yield needed(
        _TOPIC, "writable", there=writable, found=f"{data_dir}{state}",
        mend="run as its owner, or choose another: --dir",
    )  # fmt: skip
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kind = file_system_type(fd)
        name = _NAMES.get(kind, f"{kind:#x}")
        yield wanted(_TOPIC, "file system", there=name not in _REMOTE, found=name, mend=_ELSEWHERE)
        yield wanted(
            _TOPIC, "states of all pods at once", there=locks_are_whole(fd),
            found="by /proc/locks" if locks_are_whole(fd) else "by a look at each pod",
            mend="lists of thousands of pods are slow; ext4, xfs and tmpfs are quick, outside of containers",
        )  # fmt: skip
    finally:
        os.close(fd)
    yield from _mount_options(place)
    yield from _room(place)
    if writable:
        yield _overlay(place)


def _mount_options(place: str) -> Iterable[Check]:
    flags = os.statvfs(place).f_flag
    for flag, word in ((os.ST_RDONLY, "ro"), (os.ST_NOEXEC, "noexec")):
        if flags & flag:
            yield Check(_TOPIC, "mount", FAILED, f"mounted {word}", f"mount it without {word}")
    if flags & os.ST_NOSUID:
        yield Check(_TOPIC, "mount", LACKING, "mounted nosuid", "set-uid programs of images have no effect")


def _room(place: str) -> Iterable[Check]:
    there = os.statvfs(place)
    free_bytes = there.f_bavail * there.f_frsize
    verdict = FAILED if free_bytes < _TOO_LITTLE_BYTES else LACKING if free_bytes < _LITTLE_BYTES else OK
    mend = "make room: carob gc, carob image gc"
    yield Check(_TOPIC, "space", verdict, f"{free_bytes >> 20} MiB free", mend)
    if there.f_files:
        few = there.f_favail < _FEW_FILES
        yield Check(_TOPIC, "files", LACKING if few else OK, f"{there.f_favail} more", mend)


def _overlay(place: str) -> Check:
    """Makes one of two empty directories; it is seen nowhere, and gone with its descriptor."""
    if os.geteuid():
        return _overlay_of_users()
    try:
        top = tempfile.mkdtemp(prefix=".doctor-", dir=place)
    except OSError as error:
        return Check(
            _TOPIC, "overlays", FAILED, f"nothing can be made in {place}: {error.strerror}", _ELSEWHERE
        )
    try:
        for name in ("lower", "upper", "work"):
            os.mkdir(f"{top}/{name}")
        os.close(mount.overlay([f"{top}/lower"], f"{top}/upper", f"{top}/work"))
    except OSError as error:
        mend = "another file system for the data directory, or --no-overlay, which copies images"
        return Check(_TOPIC, "overlays", LACKING, str(error.strerror), mend)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    return Check(_TOPIC, "overlays", OK, "they work")


def _overlay_of_users() -> Check:
    numbers = tuple(
        int(part) for part in os.uname().release.partition("-")[0].split(".")[:2] if part.isdigit()
    )
    return wanted(
        _TOPIC, "overlays", there=numbers >= (5, 13), found="Linux 5.13 and later have them for all users",
        mend="a newer kernel, or --no-overlay, which copies images",
    )  # fmt: skip

"""What one of the six directories holds: pods, and what is none.

Read as the kernel's own records, all at once: ten thousand pods cost little more than the kernel's work.
"""

from __future__ import annotations

import os
import stat

from carob.linux.files import OPEN_DIRECTORY, read_entries
from carob.linux.proc import locks_are_whole
from carob.pod import identifier
from carob.pod.directory import directory_path
from carob.pod.failure import failed
from carob.pod.state import Directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# A record of getdents64(2) whose name has 36 characters: inode at 0, its own size at 16, type at 18,
# name from 19 on, filled up to a multiple of eight.
_RECORD_BYTES = 56
_NAME_AT = 19
_DT_UNKNOWN = 0
_DT_DIR = 4
_WORDS = _RECORD_BYTES // 8
_HEX = b"0123456789abcdef"
_DASHES_AT = tuple(_NAME_AT + at for at in (8, 13, 18, 23))


class BrokenPod:
    """Something among the pods that is none: its ``name``, the ``directory`` it is in, and the ``reason``."""

    __slots__ = ("directory", "name", "reason")

    def __init__(self, name: str, directory: Directory, reason: str) -> None:
        self.name = name
        self.directory = directory
        self.reason = reason

    def __repr__(self) -> str:
        return f"<BrokenPod {self.name!r} in {self.directory}: {self.reason}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BrokenPod):
            return NotImplemented
        return (self.name, self.directory, self.reason) == (other.name, other.directory, other.reason)

    def __hash__(self) -> int:
        return hash((self.name, self.directory, self.reason))


class Listing:
    """What one directory held: the pods' names and inodes, in the same order."""

    __slots__ = ("device", "directory", "in_lock_table", "inodes", "names")

    def __init__(self, directory: Directory, device: int, *, in_lock_table: bool) -> None:
        """``in_lock_table``: whether /proc/locks shows the locks of this device by these inodes."""
        self.directory = directory
        self.device = device
        self.in_lock_table = in_lock_table
        self.names: list[str] = []
        self.inodes: list[int] = []


def list_directory(data_dir: str, directory: Directory, report: Callable[[BrokenPod], object]) -> Listing:
    """The pods in one directory; what is none goes to ``report``. A missing directory holds nothing."""
    path = directory_path(data_dir, directory)
    try:
        fd = os.open(path, OPEN_DIRECTORY)
    except FileNotFoundError:
        return Listing(directory, 0, in_lock_table=False)
    except OSError as error:
        raise failed(error, f"cannot list {path}") from error
    try:
        listing = Listing(directory, os.fstat(fd).st_dev, in_lock_table=locks_are_whole(fd))
        for records in read_entries(fd):
            _parse(records, listing, report, fd)
        return listing
    except OSError as error:
        raise failed(error, f"cannot list {path}") from error
    finally:
        os.close(fd)


def _parse(raw: bytes, listing: Listing, report: Callable[[BrokenPod], object], fd: int) -> None:
    """Takes the records apart: runs of ordinary ones in bulk, the others one by one."""
    at = 0
    while at < len(raw):
        rest = raw[at:] if at else raw
        # Every record of a run has the ordinary size, so each one's beginning is known.
        low, high = rest[16::_RECORD_BYTES], rest[17::_RECORD_BYTES]
        count = min(len(low) - len(low.lstrip(b"\x38")), len(high) - len(high.lstrip(b"\0")))
        run = rest[: count * _RECORD_BYTES]
        if count and (names := _ordinary_names(run, count)):
            listing.names += names
            listing.inodes += memoryview(run).cast("Q")[::_WORDS].tolist()
            at += len(run)
            continue
        for _ in range(max(count, 1)):
            size = int.from_bytes(raw[at + 16 : at + 18], "little")
            _parse_one(raw[at : at + size], listing, report, fd)
            at += size


def _ordinary_names(run: bytes, count: int) -> list[str]:
    """The names of all records, if all are directories with a canonical identifier; else none."""
    dashes = b"-" * count
    if run[18::_RECORD_BYTES] != b"\x04" * count or any(
        run[at::_RECORD_BYTES] != dashes for at in _DASHES_AT
    ):
        return []
    text = run.decode("latin-1")
    names = [text[at : at + identifier.LENGTH] for at in range(_NAME_AT, len(text), _RECORD_BYTES)]
    digits = "".join(names).encode("latin-1").translate(None, _HEX)
    return names if digits == dashes * 4 else []


def _parse_one(record: bytes, listing: Listing, report: Callable[[BrokenPod], object], fd: int) -> None:
    raw_name = record[_NAME_AT:].split(b"\0", 1)[0]
    if raw_name in (b".", b".."):
        return
    name = os.fsdecode(raw_name)
    kind = record[18]
    if kind == _DT_UNKNOWN:
        kind = _DT_DIR if _is_directory(name, fd) else kind
    if kind != _DT_DIR:
        report(BrokenPod(name, listing.directory, "not a directory"))
    elif fault := identifier.fault_of(name):
        report(BrokenPod(name, listing.directory, fault))
    else:
        listing.names.append(name)
        listing.inodes.append(int.from_bytes(record[:8], "little"))


def _is_directory(name: str, fd: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False

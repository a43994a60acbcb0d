from __future__ import annotations

import os
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from carob.linux import proc
from carob.linux.flock import FileLock

TABLE = b"""1: FLOCK  ADVISORY  WRITE 4711 fe:0a:1001 0 EOF
1: -> FLOCK  ADVISORY  WRITE 4712 fe:0a:1001 0 EOF
2: FLOCK  ADVISORY  READ  4713 fe:0a:1002 0 EOF
3: POSIX  ADVISORY  WRITE 4714 fe:0a:1003 0 EOF
4: FLOCK  ADVISORY  WRITE 4715 fe:0b:1004 0 EOF
5: FLOCK  ADVISORY  WRITE 0 fe:0a:10010 0 EOF
6: LEASE  ACTIVE    WRITE 4716 fe:0a:1005 0 EOF
7: OFDLCK ADVISORY  WRITE -1 fe:0a:1006 0 EOF
8: -> FLOCK  ADVISORY  WRITE 4717 fe:0a:1007 0 EOF
"""


def test_only_granted_exclusive_flocks_of_the_device_count() -> None:
    assert proc.parse_locks(TABLE, os.makedev(0xFE, 0x0A)) == {1001: 4711, 10010: 0}
    assert proc.parse_locks(TABLE, os.makedev(0xFE, 0x0B)) == {1004: 4715}
    assert proc.parse_locks(b"", os.makedev(0xFE, 0x0A)) == {}


def test_a_lock_of_ours_is_in_the_table(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    whole = proc.locks_are_whole(fd)
    os.close(fd)
    if not whole:
        pytest.skip("/proc/locks does not tell of this file system here")
    found = tmp_path.stat()
    lock = FileLock(str(tmp_path))
    assert lock.try_exclusive_lock()
    assert proc.exclusively_locked(found.st_dev)[0][found.st_ino] == os.getpid()
    lock.close()
    assert found.st_ino not in proc.exclusively_locked(found.st_dev)[0]


def test_a_table_that_never_settles_is_not_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = iter(range(100))

    def restless(fd: int, size: int) -> bytes:
        return b"1: FLOCK  ADVISORY  WRITE 1 fe:0a:%d 0 EOF\n" % next(reads)

    monkeypatch.setattr(proc, "_read_in_steps", restless)
    locks, whole = proc.exclusively_locked(os.makedev(0xFE, 0x0A))
    assert not whole
    assert len(locks) == 1


def test_two_reads_must_agree_on_the_device_and_only_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = b"1: FLOCK  ADVISORY  WRITE 1 fe:0a:7 0 EOF\n"
    reads = iter([b"", ours, ours + b"2: POSIX  ADVISORY  WRITE 2 fe:0b:9 0 EOF\n", b"never read"])
    monkeypatch.setattr(proc, "_read_in_steps", lambda fd, size: next(reads))
    assert proc.exclusively_locked(os.makedev(0xFE, 0x0A)) == ({7: 1}, True)
    assert next(reads) == b"never read"


def test_reads_need_agree_only_on_what_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def churning(fd: int, size: int) -> bytes:
        nonlocal count
        count += 1
        steady = b"1: FLOCK  ADVISORY  WRITE 1 fe:0a:7 0 EOF\n" if count > 3 else b""
        return steady + b"2: FLOCK  ADVISORY  WRITE 1 fe:0a:%d 0 EOF\n" % (1000 + count)

    monkeypatch.setattr(proc, "_read_in_steps", churning)
    device = os.makedev(0xFE, 0x0A)
    assert proc.exclusively_locked(device, lambda: frozenset({7, 8})) == ({1002: 1}, True)
    locks, whole = proc.exclusively_locked(device, lambda: frozenset({7, 8, 1004}))
    assert whole
    assert locks.keys() == {7, 1005 + 1}


def test_successive_reads_have_different_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def restless(fd: int, size: int) -> bytes:
        sizes.append(size)
        return b"1: FLOCK  ADVISORY  WRITE 1 fe:0a:%d 0 EOF\n" % len(sizes)

    monkeypatch.setattr(proc, "_read_in_steps", restless)
    proc.exclusively_locked(os.makedev(0xFE, 0x0A))
    assert all(abs(one - other) > 500 for one, other in pairwise(sizes))


def test_in_another_pid_namespace_the_table_is_not_relied_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "readlink", lambda path: "pid:[4026532000]")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert not proc.locks_are_whole(fd)
    finally:
        os.close(fd)


def test_a_file_system_with_numbers_of_its_own_is_not_relied_on() -> None:
    fd = os.open("/proc", os.O_RDONLY)
    try:
        assert not proc.locks_are_whole(fd)
    finally:
        os.close(fd)


def test_children_and_start_of_a_process() -> None:
    before_s = time.time()
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert str(child.pid).encode() in (proc.children_text(os.getpid()) or b"").split()
        began_s = proc.start_time_s(child.pid)
        assert began_s is not None
        assert before_s - 1 < began_s < time.time() + 1
    finally:
        child.kill()
        child.wait()
    assert proc.start_time_s(child.pid) is None
    assert proc.children_text(child.pid) is None

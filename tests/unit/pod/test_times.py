from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from carob.errors import NotFound
from carob.pod import open_pod
from carob.pod.state import Directory, State
from tests.unit.pod.made import UUID, locked, make

NS = 1_500_000_000_123_456_789


def touch(path: str, name: str, time_ns: int) -> None:
    os.utime(f"{path}/{name}", ns=(0, time_ns))


@pytest.mark.parametrize("is_locked", [False, True])
@pytest.mark.parametrize("directory", list(Directory))
def test_which_times_each_state_has(data_dir: str, directory: Directory, is_locked: bool) -> None:
    path = make(data_dir, directory, pod=b"", pid=b"1", **{"pod-created": b""})
    touch(path, "pod-created", NS)
    touch(path, "pid", NS + 1)
    holder = locked(path) if is_locked else None
    if holder is not None:
        holder.__enter__()
    with open_pod(data_dir, UUID) as pod:
        made = directory is Directory.PREPARED or pod.state() is State.RUNNING or pod.is_after_run()
        assert pod.creation_time_ns() == (NS if made else None)
        ran = pod.state() is State.RUNNING or pod.is_after_run()
        assert pod.start_time_ns() == (NS + 1 if ran else None)
        marked = directory in (Directory.EXITED_GARBAGE, Directory.GARBAGE)
        assert pod.gc_marked_time_ns() == (os.stat(path).st_ctime_ns if marked else None)
    if holder is not None:
        holder.__exit__(None, None, None)


def test_times_are_in_utc_to_the_microsecond(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN, **{"pod-created": b"", "pid": b"1"})
    touch(path, "pod-created", NS)
    touch(path, "pid", NS + 1000)
    with open_pod(data_dir, UUID) as pod:
        assert pod.creation_time() == datetime(2017, 7, 14, 2, 40, 0, 123456, tzinfo=UTC)
        assert pod.start_time() == datetime(2017, 7, 14, 2, 40, 0, 123457, tzinfo=UTC)
        assert pod.gc_marked_time() is None


def test_pods_of_old_rkt_were_made_when_their_manifest_was(data_dir: str) -> None:
    path = make(data_dir, Directory.PREPARED, pod=b"")
    touch(path, "pod", NS)
    with open_pod(data_dir, UUID) as pod:
        assert pod.creation_time_ns() == NS
        os.unlink(f"{path}/pod")
        with pytest.raises(NotFound):
            pod.creation_time()


def test_start_is_that_of_ppid_where_there_is_no_pid(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN, ppid=b"1")
    touch(path, "ppid", NS)
    with open_pod(data_dir, UUID) as pod:
        assert pod.start_time_ns() == NS
        os.unlink(f"{path}/ppid")
        assert pod.start_time() is None


def test_the_mark_is_the_rename_and_goes_with_the_pod(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)
    before_ns = os.stat(path).st_ctime_ns
    with open_pod(data_dir, UUID) as pod:
        pod.to_exited_garbage()
        marked_ns = pod.gc_marked_time_ns()
        assert marked_ns is not None
        assert marked_ns >= before_ns
        assert pod.gc_marked_time() is not None
        os.rmdir(pod.path())
        assert pod.gc_marked_time() is None

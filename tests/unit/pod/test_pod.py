from __future__ import annotations

import fcntl
import gc
import os
import shutil
from pathlib import Path

import pytest

from carob.errors import Conflict, InvalidInput, NotFound
from carob.pod import Pod, open_pod
from carob.pod.state import Directory, State
from tests.unit.pod.made import MANIFEST, UUID, locked, make


def others_see(data_dir: str) -> State:
    with open_pod(data_dir, UUID) as other:
        return other.state()


@pytest.mark.parametrize(
    ("directory", "state"),
    [
        (Directory.RUN, State.RUNNING),
        (Directory.PREPARE, State.PREPARING),
        (Directory.GARBAGE, State.DELETING),
        (Directory.EXITED_GARBAGE, State.EXITED_DELETING),
    ],
)
def test_refresh_keeps_the_callers_own_lock_and_counts_it(
    data_dir: str, directory: Directory, state: State
) -> None:
    make(data_dir, directory)
    with open_pod(data_dir, UUID) as pod:
        assert pod.try_exclusive_lock()
        assert pod.refresh() is state
        assert others_see(data_dir) is state, "the lock is held still"
        pod.unlock()
        assert pod.refresh() is others_see(data_dir)


def test_refresh_keeps_a_shared_lock(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)
    with open_pod(data_dir, UUID) as pod:
        assert pod.try_shared_lock()
        assert pod.refresh() is State.EXITED
        with pytest.raises(BlockingIOError), locked(path):
            pass


def test_the_state_is_the_one_last_seen(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)
    with open_pod(data_dir, UUID) as pod, locked(path):
        assert pod.state() is State.EXITED
        assert pod.refresh() is State.RUNNING
    shutil.rmtree(path)
    with pytest.raises(InvalidInput):
        pod.fd()
    assert pod.refresh() is State.GONE


def test_a_pod_that_is_gone_says_so(data_dir: str) -> None:
    path = make(data_dir, Directory.EMBRYO)
    with open_pod(data_dir, UUID) as pod:
        shutil.rmtree(data_dir)
        assert pod.refresh() is State.GONE
        assert pod.path() == ""
        assert pod.is_finished()
        assert not pod.is_after_run()
        assert not pod.pod_manifest_available()
        with pytest.raises(NotFound):
            pod.stage1_rootfs_path()
    assert not os.path.exists(path)


def test_locks_of_two_objects(data_dir: str) -> None:
    make(data_dir, Directory.RUN)
    with open_pod(data_dir, UUID) as one, open_pod(data_dir, UUID) as other:
        assert one.try_exclusive_lock()
        assert one.held() == "exclusive"
        assert not other.try_exclusive_lock()
        assert not other.try_shared_lock()
        one.unlock()
        one.shared_lock()
        assert other.try_shared_lock()
        with pytest.raises(Conflict):
            other.exclusive_lock()
        one.unlock()
        other.unlock()
        other.exclusive_lock()
        assert not one.try_shared_lock()


def test_closing(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)
    pod = open_pod(data_dir, UUID)
    pod.exclusive_lock()
    pod.close()
    pod.close()
    with locked(path):
        pass
    for use in (pod.fd, pod.try_shared_lock, pod.unlock, pod.pod_manifest, pod.sync):
        with pytest.raises(InvalidInput):
            use()


def test_a_pod_that_is_forgotten_keeps_nothing(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)
    before = os.listdir("/proc/self/fd")
    pod = open_pod(data_dir, UUID)
    pod.exclusive_lock()
    del pod
    gc.collect()
    assert os.listdir("/proc/self/fd") == before
    with locked(path):
        pass


def test_a_forked_child_can_use_the_pod_and_holds_no_lock(data_dir: str) -> None:
    make(data_dir, Directory.RUN, pod=MANIFEST)
    with open_pod(data_dir, UUID) as pod:
        pod.exclusive_lock()
        go_read, go_write = os.pipe()
        ready_read, ready_write = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                readable = pod.pod_manifest()[0] == MANIFEST
                running = pod.refresh() is State.RUNNING and pod.held() == "unlocked"
                os.write(ready_write, b"x")
                os.read(go_read, 1)
                free = pod.refresh() is State.EXITED
                status = 0 if readable and running and free else 2
            finally:
                os._exit(status)
        os.read(ready_read, 1)
        pod.close()
        freed = others_see(data_dir)
        os.write(go_write, b"x")
        _, status = os.waitpid(child, 0)
        for fd in (go_read, go_write, ready_read, ready_write):
            os.close(fd)
    assert freed is State.EXITED, "although the child lives"
    assert os.waitstatus_to_exitcode(status) == 0


def test_no_descriptor_reaches_a_program_that_is_executed(data_dir: str) -> None:
    make(data_dir, Directory.RUN)
    with open_pod(data_dir, UUID) as pod:
        assert fcntl.fcntl(pod.fd(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_a_pod_seen_in_a_walk_is_opened_when_it_is_needed_wherever_it_is_then(data_dir: str) -> None:
    path = make(data_dir, Directory.PREPARED, pod=MANIFEST)
    with Pod(data_dir, UUID, State.PREPARED) as pod:
        os.makedirs(f"{data_dir}/pods/run")
        os.rename(path, f"{data_dir}/pods/run/{UUID}")
        assert pod.pod_manifest()[0] == MANIFEST
        assert pod.state() is State.PREPARED, "reading does not refresh"
    with Pod(data_dir, UUID, State.PREPARED) as pod:
        shutil.rmtree(f"{data_dir}/pods/run/{UUID}")
        with pytest.raises(NotFound):
            pod.pod_manifest()


def test_sync_writes_back_the_file_system(data_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from carob.linux import syscall

    make(data_dir, Directory.PREPARE)
    synced: list[int] = []
    monkeypatch.setattr(syscall, "syncfs", synced.append)
    with open_pod(data_dir, UUID) as pod:
        pod.sync()
        assert synced == [pod.fd()]
    monkeypatch.undo()
    with open_pod(data_dir, UUID) as pod:
        pod.sync()


def test_how_it_looks(data_dir: str) -> None:
    make(data_dir, Directory.RUN)
    with open_pod(data_dir, UUID) as pod:
        assert repr(pod) == f"<Pod {UUID} exited>"
        assert pod.mount_label == ""
        pod.mount_label = "system_u:object_r:svirt_sandbox_file_t:s0"
        assert Path(pod.path()).name == pod.uuid

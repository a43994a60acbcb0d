from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from carob.errors import CarobError, Conflict, LostRace
from carob.pod import delete, open_pod, remove
from carob.pod.remove import delete_embryo, deleting_has_begun, leave_mark, start_deleting
from carob.pod.state import Directory, State
from tests.unit.pod.made import MANIFEST, UUID, locked, make


def garbage(data_dir: str, directory: Directory = Directory.EXITED_GARBAGE) -> Path:
    path = Path(make(data_dir, directory, pod=MANIFEST, pid=b"1", stage1__rootfs__etc__passwd=b"x"))
    (path / "carob").mkdir()
    (path / "carob" / "end").write_text("{}")
    return path


@pytest.mark.parametrize("directory", [Directory.GARBAGE, Directory.EXITED_GARBAGE])
def test_garbage_is_deleted_whole(data_dir: str, directory: Directory) -> None:
    path = garbage(data_dir, directory)
    with open_pod(data_dir, UUID) as pod:
        delete(pod)
        assert pod.state() is State.GONE
        assert pod.held() == "unlocked"
    assert not path.exists()


@pytest.mark.parametrize("directory", [d for d in Directory if "garbage" not in d])
def test_nothing_else_is_deleted(data_dir: str, directory: Directory) -> None:
    path = make(data_dir, directory, pod=MANIFEST)
    with open_pod(data_dir, UUID) as pod:
        with pytest.raises(Conflict):
            delete(pod)
        assert pod.held() == "unlocked"
    assert os.listdir(path) == ["pod"]


def test_while_it_is_deleted_the_pod_says_so(data_dir: str) -> None:
    garbage(data_dir)
    with open_pod(data_dir, UUID) as pod, open_pod(data_dir, UUID) as other:
        start_deleting(pod)
        assert other.refresh() is State.EXITED_DELETING
        with pytest.raises(Conflict):
            delete(other)
        delete(pod)
        assert other.refresh() is State.GONE


def test_the_second_of_two_has_lost(data_dir: str) -> None:
    garbage(data_dir)
    with open_pod(data_dir, UUID) as one, open_pod(data_dir, UUID) as other:
        delete(one)
        with pytest.raises(LostRace) as lost:
            delete(other)
        assert lost.value.state == State.GONE


def test_a_lock_of_anothers_is_not_waited_for_for_ever(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = garbage(data_dir)
    monkeypatch.setattr(remove, "_LOCK_TIMEOUT_S", 0.01)
    with open_pod(data_dir, UUID) as pod, locked(str(path)), pytest.raises(LostRace):
        delete(pod)
    assert path.exists()


def test_links_are_deleted_and_not_followed(data_dir: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "kept").mkdir(parents=True)
    path = garbage(data_dir)
    (path / "link").symlink_to(outside)
    (path / "stage1" / "link").symlink_to(outside, target_is_directory=True)
    os.symlink(outside, path / "stage1" / "rootfs" / "dangling")
    (path / "carob" / "end").unlink()
    (path / "carob").rmdir()
    (path / "carob").symlink_to(outside)
    with open_pod(data_dir, UUID) as pod:
        delete(pod)
    assert not path.exists()
    assert os.listdir(outside) == ["kept"]


def test_a_tree_deeper_than_any_path_or_recursion(data_dir: str) -> None:
    path = garbage(data_dir)
    fd = os.open(path / "stage1", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=fd)
        inner = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    before = len(os.listdir("/proc/self/fd"))
    with open_pod(data_dir, UUID) as pod:
        delete(pod)
    assert not path.exists()
    assert len(os.listdir("/proc/self/fd")) == before


def test_many_files_and_all_kinds_of_them(data_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remove, "_ENTRIES_AT_ONCE", 7)
    path = garbage(data_dir)
    for number in range(100):
        (path / f"f{number}").touch()
    os.mkfifo(path / "fifo")
    (path / os.fsdecode(b"\xff\n")).touch()
    os.chmod(path / "stage1", 0)
    with open_pod(data_dir, UUID) as pod:
        delete(pod)
    assert not path.exists()


def test_the_manifest_goes_last_and_the_mark_before_it(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = garbage(data_dir)
    gone: list[str] = []
    unlink = os.unlink

    def watched(name: str, *, dir_fd: int | None = None) -> None:
        unlink(name, dir_fd=dir_fd)
        gone.append(name)

    monkeypatch.setattr(os, "unlink", watched)
    with open_pod(data_dir, UUID) as pod:
        delete(pod)
    assert gone[-2:] == ["deleting", "pod"]
    assert gone.index("end") < gone.index("deleting")
    assert not path.exists()


@pytest.mark.parametrize("stop_after", range(6))
def test_deleting_can_stop_anywhere_and_be_taken_up_again(
    data_dir: str, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    path = garbage(data_dir)
    calls = 0
    unlink, rmdir = os.unlink, os.rmdir

    def stopping(call):  # type: ignore[no-untyped-def]
        def stop(name, **where):  # type: ignore[no-untyped-def]
            nonlocal calls
            if calls == stop_after:
                raise KeyboardInterrupt
            calls += 1
            call(name, **where)

        return stop

    monkeypatch.setattr(os, "unlink", stopping(unlink))
    monkeypatch.setattr(os, "rmdir", stopping(rmdir))
    with open_pod(data_dir, UUID) as pod:
        with pytest.raises(KeyboardInterrupt):
            delete(pod)
        monkeypatch.undo()
        assert pod.state() is State.EXITED_GARBAGE
        assert (path / "pod").exists()
        assert deleting_has_begun(pod)
        delete(pod)
    assert not path.exists()


def test_what_cannot_be_deleted_is_named_and_the_rest_goes(
    data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = garbage(data_dir)
    (path / "stage1" / "stuck").touch()
    unlink = os.unlink

    def refuse_one(name: str, *, dir_fd: int | None = None) -> None:
        if name == "stuck":
            raise OSError(5, "Input/output error")
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuse_one)
    with open_pod(data_dir, UUID) as pod:
        with pytest.raises(CarobError, match="stage1/stuck"):
            delete(pod)
        assert pod.state() is State.EXITED_GARBAGE
        assert not (path / "stage1" / "rootfs").exists()
        assert (path / "pod").exists()
        monkeypatch.undo()
        delete(pod)
    assert not path.exists()


def test_a_mark_that_cannot_be_left_does_not_matter(data_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(data_dir, Directory.EXITED_GARBAGE, pod=MANIFEST)

    def full(name: str, *arguments: object, **where: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "mkdir", full)
    with open_pod(data_dir, UUID) as pod:
        leave_mark(pod)
        assert not deleting_has_begun(pod)
        delete(pod)
    assert not os.path.exists(path)


def test_an_embryo_that_nobody_holds(data_dir: str) -> None:
    path = make(data_dir, Directory.EMBRYO)
    with open_pod(data_dir, UUID) as pod:
        with locked(path), pytest.raises(Conflict):
            delete_embryo(pod)
        delete_embryo(pod)
        assert pod.state() is State.GONE
    make(data_dir, Directory.PREPARE)
    with open_pod(data_dir, UUID) as pod:
        with pytest.raises(Conflict):
            delete_embryo(pod)
        assert pod.held() == "unlocked"


IN_A_NAMESPACE = """
import os, sys
sys.path[:0] = sys.argv[3:]
from carob.errors import Conflict
from carob.linux.syscall import SYS_UNSHARE, SYS_MOUNT, SYS_UMOUNT2, syscall
from carob.pod import delete, open_pod
data_dir, uuid = sys.argv[1:3]
try:
    syscall(SYS_UNSHARE, 0x20000)  # CLONE_NEWNS
    syscall(SYS_MOUNT, "none", "/", None, 1 << 18 | 1 << 14, None)  # private, all of it
    inside = f"{data_dir}/pods/exited-garbage/{uuid}/stage1/rootfs"
    outside = f"{data_dir}/outside"
    syscall(SYS_MOUNT, outside, inside, None, 1 << 12, None)  # bind, so the device is the same
except PermissionError:
    sys.exit(77)
with open_pod(data_dir, uuid) as pod:
    try:
        delete(pod)
    except Conflict as error:
        assert "stage1/rootfs is a mount point" in error.message, error.message
    else:
        sys.exit("it was deleted")
    assert os.listdir(outside) == ["kept"], os.listdir(outside)
    syscall(SYS_UMOUNT2, inside, 0)
    delete(pod)
assert os.listdir(outside) == ["kept"]
"""


def test_what_is_mounted_inside_is_not_entered(data_dir: str) -> None:
    path = garbage(data_dir)
    Path(data_dir, "outside/kept").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NAMESPACE, data_dir, UUID, *sys.path], check=False, capture_output=True
    )
    if done.returncode == 77:
        pytest.skip("impossible: mounting is not permitted here")
    assert (done.returncode, done.stderr) == (0, b"")
    assert not path.exists()

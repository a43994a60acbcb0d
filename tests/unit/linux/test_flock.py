from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

from carob.errors import Conflict, InvalidInput
from carob.linux import flock
from carob.linux.flock import FileLock, probe


def other_can_lock(path: Path, operation: int = fcntl.LOCK_EX) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def test_exclusive_lock_keeps_everybody_out_and_unlock_lets_them_in(tmp_path: Path) -> None:
    lock = FileLock(str(tmp_path))
    assert lock.try_exclusive_lock()
    assert lock.try_exclusive_lock(), "held already"
    assert not other_can_lock(tmp_path, fcntl.LOCK_SH)
    lock.unlock()
    assert other_can_lock(tmp_path)
    lock.close()


def test_shared_locks_go_together_and_keep_the_exclusive_one_out(tmp_path: Path) -> None:
    with_two = [FileLock(str(tmp_path)), FileLock(str(tmp_path))]
    third = FileLock(str(tmp_path))
    assert all(lock.try_shared_lock() for lock in with_two)
    assert not third.try_exclusive_lock()
    assert third.held == flock.UNLOCKED
    for lock in with_two:
        lock.close()
    assert third.try_exclusive_lock()
    third.close()


@pytest.mark.parametrize("first", ["shared", "exclusive"])
def test_a_held_lock_is_never_converted(tmp_path: Path, first: str) -> None:
    lock = FileLock(str(tmp_path))
    if first == "shared":
        lock.shared_lock()
        with pytest.raises(Conflict):
            lock.try_exclusive_lock()
        assert not other_can_lock(tmp_path), "the shared lock is still held"
    else:
        lock.exclusive_lock()
        with pytest.raises(Conflict):
            lock.shared_lock()
        assert not other_can_lock(tmp_path, fcntl.LOCK_SH), "the exclusive lock is still held"
    lock.close()


def test_blocking_lock_comes_when_the_holder_lets_go(tmp_path: Path) -> None:
    holder, waiter = FileLock(str(tmp_path)), FileLock(str(tmp_path))
    holder.exclusive_lock()
    thread = threading.Thread(target=waiter.exclusive_lock)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    holder.unlock()
    thread.join(10)
    assert waiter.held == flock.EXCLUSIVE
    holder.close()
    waiter.close()


def test_a_lock_follows_its_directory(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    lock = FileLock(str(tmp_path / "a"))
    lock.exclusive_lock()
    (tmp_path / "a").rename(tmp_path / "b")
    assert probe(str(tmp_path / "b"))[0]
    lock.close()
    assert not probe(str(tmp_path / "b"))[0]


def test_closing_twice_is_fine_and_using_afterwards_is_not(tmp_path: Path) -> None:
    lock = FileLock(str(tmp_path))
    lock.close()
    lock.close()
    assert lock.closed
    with pytest.raises(InvalidInput):
        lock.fd()
    with pytest.raises(InvalidInput):
        lock.try_shared_lock()


def test_a_lock_nobody_refers_to_is_let_go(tmp_path: Path) -> None:
    lock = FileLock(str(tmp_path))
    lock.exclusive_lock()
    del lock
    assert other_can_lock(tmp_path)


def test_only_regular_files_where_a_file_is_wanted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="not a regular file") as refused:
        FileLock(str(tmp_path / "fifo"), file=True)
    assert refused.value.errno == errno.EINVAL
    with pytest.raises(OSError, match="link"):
        FileLock(str(tmp_path / "link"), file=True)
    with pytest.raises(FileNotFoundError):
        FileLock(str(tmp_path / "new"), file=True)
    FileLock(str(tmp_path / "new"), file=True, create_mode=0o600).close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    with pytest.raises(NotADirectoryError):
        FileLock(str(tmp_path / "file"))


def test_descriptors_are_closed_on_exec(tmp_path: Path) -> None:
    lock = FileLock(str(tmp_path))
    assert not os.get_inheritable(lock.fd())
    lock.close()


def test_a_forked_child_keeps_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    directory, file = FileLock(str(tmp_path)), FileLock(str(tmp_path / "file"), file=True)
    directory.exclusive_lock()
    file.exclusive_lock()
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            good = directory.held == flock.UNLOCKED and file.closed
            good = good and os.fstat(directory.fd()).st_ino == os.stat(tmp_path).st_ino
            good = good and not directory.try_shared_lock()  # the parent's lock keeps the child out as well
            os.write(ready_write, b"x")
            os.read(go_read, 1)
            status = 0 if good else 2
        finally:
            os._exit(status)
    try:
        os.read(ready_read, 1)
        directory.close()
        file.close()
        # The child lives and has the descriptor still.
        assert other_can_lock(tmp_path)
        assert other_can_lock(tmp_path / "file")
    finally:
        os.write(go_write, b"x")
        _, status = os.waitpid(child, 0)
        for fd in (ready_read, ready_write, go_read, go_write):
            os.close(fd)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_child_that_closes_does_not_unlock_its_parent(tmp_path: Path) -> None:
    lock = FileLock(str(tmp_path))
    lock.exclusive_lock()
    child = os.fork()
    if child == 0:
        lock.unlock()
        lock.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert not other_can_lock(tmp_path)
    lock.close()


def test_forks_while_other_threads_open_and_probe_leave_no_lock_behind(tmp_path: Path) -> None:
    """Children live on while the parent lets go: none of them may hold what a thread had just taken."""
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            probe(str(tmp_path))
            lock = FileLock(str(tmp_path))
            lock.try_shared_lock()
            lock.close()

    threads = [threading.Thread(target=churn) for _ in range(3)]
    for thread in threads:
        thread.start()
    children = []
    go_read, go_write = os.pipe()
    try:
        for _ in range(30):
            child = os.fork()
            if child == 0:
                os.close(go_write)
                os.read(go_read, 1)
                os._exit(0)
            children.append(child)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    free = other_can_lock(tmp_path)
    os.close(go_write)
    os.close(go_read)
    for child in children:
        os.waitpid(child, 0)
    assert free

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest

from carob.linux import inotify


def wait_and_dispatch(subscription: inotify.Subscription) -> None:
    instance = inotify.instance_of(subscription)
    assert select.select([instance.fd], [], [], 10)[0]
    instance.dispatch()


def test_a_name_and_only_that_name(tmp_path: Path) -> None:
    seen: list[str] = []
    one = inotify.subscribe(str(tmp_path), "one", lambda: seen.append("one"))
    two = inotify.subscribe(str(tmp_path), "two", lambda: seen.append("two"))
    assert inotify.instance_of(one) is inotify.instance_of(two)
    (tmp_path / "two").mkdir()
    wait_and_dispatch(one)
    assert seen == ["two"]
    (tmp_path / "two").rename(tmp_path / "one")
    wait_and_dispatch(one)
    assert seen == ["two", "two", "one"]
    inotify.unsubscribe(one)
    (tmp_path / "one").rmdir()
    (tmp_path / "two").touch()
    wait_and_dispatch(two)
    assert "one" not in seen[3:]
    assert seen[-1] == "two"
    inotify.unsubscribe(two)


def test_all_share_one_instance_that_closes_after_the_last(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        (tmp_path / str(number)).mkdir()
    subscriptions = [inotify.subscribe(str(tmp_path / str(n % 300)), "x", print) for n in range(900)]
    assert len(os.listdir("/proc/self/fd")) == before + 1
    for subscription in subscriptions:
        inotify.unsubscribe(subscription)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_end_of_the_directory_concerns_all(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    seen: list[int] = []
    subscriptions = [
        inotify.subscribe(str(tmp_path / "d"), str(n), lambda n=n: seen.append(n))  # type: ignore[misc]
        for n in range(3)
    ]
    (tmp_path / "d").rmdir()
    wait_and_dispatch(subscriptions[0])
    assert set(seen) == {0, 1, 2}
    for subscription in subscriptions:
        inotify.unsubscribe(subscription)


def test_lost_events_concern_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    subscription = inotify.subscribe(str(tmp_path), "name", lambda: seen.append("name"))
    monkeypatch.setattr(inotify, "parse_events", lambda raw: [(-1, inotify.IN_Q_OVERFLOW, b"")])
    (tmp_path / "another").touch()
    wait_and_dispatch(subscription)
    assert seen
    inotify.unsubscribe(subscription)


def test_a_directory_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inotify.subscribe(str(tmp_path / "none"), "x", print)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        inotify.subscribe(str(tmp_path / "file"), "x", print)


def test_a_forked_child_does_not_take_the_events_of_its_parent(tmp_path: Path) -> None:
    seen: list[str] = []
    subscription = inotify.subscribe(str(tmp_path), "name", lambda: seen.append("parent"))
    parents_fd = inotify.instance_of(subscription).fd
    child = os.fork()
    if child == 0:
        status = 1
        try:
            own = inotify.subscribe(str(tmp_path), "name", lambda: None)
            independent = inotify.instance_of(own) is not inotify.instance_of(subscription)
            inotify.unsubscribe(subscription)
            (tmp_path / "name").touch()
            wait_and_dispatch(own)
            inotify.unsubscribe(own)
            status = 0 if independent else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert inotify.instance_of(subscription).fd == parents_fd
    wait_and_dispatch(subscription)
    assert seen
    inotify.unsubscribe(subscription)


def test_events_are_taken_apart() -> None:
    raw = (7).to_bytes(4, "little") + (0x100).to_bytes(4, "little") + bytes(4)
    raw += (16).to_bytes(4, "little") + b"name".ljust(16, b"\0")
    raw += (-1).to_bytes(4, "little", signed=True) + (0x4000).to_bytes(4, "little") + bytes(8)
    assert inotify.parse_events(raw) == [(7, 0x100, b"name"), (-1, 0x4000, b"")]

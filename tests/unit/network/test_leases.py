from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from carob.errors import TimedOut
from carob.network import leases, locks
from carob.network.attachment import Attachment
from carob.network.leases import Lease


def lease(directory: Path, ip: str, content: str) -> None:
    (directory / ip).write_bytes(content.encode())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    lease(tmp_path, "10.0.0.2", "one\r\neth0")
    lease(tmp_path, "10.0.0.3", "two\r\neth1")
    lease(tmp_path, "10.0.0.4", "")
    lease(tmp_path, "fd00::5", "old-style")
    lease(tmp_path, "last_reserved_ip.0", "10.0.0.4")
    return tmp_path


def test_the_files_of_host_local_are_read(directory: Path) -> None:
    found = {one.ip: (one.container, one.interface) for one in leases.read(str(directory))}
    assert found == {
        "10.0.0.2": ("one", "eth0"),
        "10.0.0.3": ("two", "eth1"),
        "10.0.0.4": ("", ""),
        "fd00::5": ("old-style", ""),
    }
    assert leases.read(str(directory / "missing")) == []


def test_leases_of_the_dead_go_and_with_them_those_of_nobody(directory: Path) -> None:
    released = leases.release(str(directory), lambda one: one.container == "one")
    assert sorted(one.ip for one in released) == ["10.0.0.2", "10.0.0.4"]
    assert sorted(path.name for path in directory.iterdir()) == [
        "10.0.0.3",
        "fd00::5",
        "last_reserved_ip.0",
        "lock",
    ]
    assert leases.release(str(directory), lambda one: one.container == "one") == []


def test_nothing_is_touched_while_host_local_holds_its_lock(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_WAIT_S", 0.1)
    lock = os.open(directory / "lock", os.O_CREAT | os.O_RDONLY, 0o640)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TimedOut):
            leases.release(str(directory), lambda _: True)
        assert len(leases.read(str(directory))) == 4
    finally:
        os.close(lock)


def test_where_leases_are_kept() -> None:
    ipam = {"type": "host-local", "dataDir": "/run/x"}
    plugins = (
        {"type": "bridge", "ipam": ipam},
        {"type": "ptp", "ipam": {"type": "host-local"}},
        {"type": "x"},
    )
    attachment = Attachment("net", "eth0", version="1.0.0", plugins=plugins)
    assert leases.directories(attachment) == ["/run/x/net", "/var/lib/cni/networks/net"]
    assert (
        leases.directories(Attachment("net", "eth0", version="1.0.0", plugins=({"type": "x", "ipam": 5},)))
        == []
    )


def test_a_lock_of_a_pod_that_was_removed_meanwhile_is_taken_anew(tmp_path: Path) -> None:
    from carob.network.places import Places

    places = Places(state=str(tmp_path))
    first = locks.take_pods(places, "pod", wait_s=1)
    os.unlink(f"{places.pod_state('pod')}/lock")
    second = locks.take_pods(places, "pod", wait_s=1)
    assert not os.path.samestat(os.fstat(first.fd()), os.fstat(second.fd()))
    with pytest.raises(TimedOut):
        locks.take_pods(places, "pod", wait_s=0.05)
    first.close()
    second.close()


def test_shared_and_exclusive_locks(tmp_path: Path) -> None:
    path = str(tmp_path / "a" / "b" / "lock")
    one, two = (locks.take(path, shared=True, wait_s=0) for _ in range(2))
    with pytest.raises(TimedOut):
        locks.take(path, wait_s=0.02)
    one.close()
    two.close()
    locks.take(path, wait_s=0).close()


def test_a_lease_says_whose_it_is() -> None:
    assert repr(Lease("10.0.0.2", "one", "eth0")) == "Lease(10.0.0.2, 'one', 'eth0')"

"""A host of a test's own for real pods: a network with nothing but loopback, and no state of carob's."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carob.linux.syscall import SYS_UNSHARE, syscall
from tests.needs import require, require_command, require_root
from tests.root import host_view
from tests.unit.network.laboratory import PLUGINS, SYS_SETNS, own_network

CLONE_NEWNS = 0x00020000
STATE = Path("/run/carob/networks")


@contextmanager
def own_host() -> Iterator[None]:
    """Within the block this thread, and what it starts, is on such a host."""
    require_root()
    require(
        Path(f"{PLUGINS}/bridge").exists(), "needs Debian's containernetworking-plugins: setup/install --test"
    )
    require_command("iptables-restore")
    here = os.getcwd()
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    made = not STATE.parent.exists()
    STATE.parent.mkdir(mode=0o755, exist_ok=True)
    try:
        with own_network():
            syscall(SYS_UNSHARE, CLONE_NEWNS)
            try:
                subprocess.run(["mount", "--make-rprivate", "/"], check=True)
                subprocess.run(["mount", "-t", "tmpfs", "carob-test", str(STATE.parent)], check=True)
                yield
            finally:
                syscall(SYS_SETNS, before, CLONE_NEWNS)
                os.chdir(here)
    finally:
        os.close(before)
        if made:
            STATE.parent.rmdir()


def known() -> list[str]:
    """The pods that this boot knows of as attached."""
    return sorted(path.name for path in (STATE / "pods").glob("*"))


def leased() -> list[str]:
    """The addresses of carob's own networks that somebody has."""
    return sorted(path.name for path in STATE.glob("leases/*/*") if path.name[0].isdigit())


def kill_keepers(data_dir: str, uuid: str) -> None:
    """SIGKILL for monitor and init, in that order, so that nobody does anything about the pod's end."""
    directory = host_view.pod_directory(data_dir, uuid)
    for which in ("monitor", "init"):
        pid = host_view.keeper(directory, which)
        os.kill(pid, signal.SIGKILL)
        host_view.wait_gone(pid)

from __future__ import annotations

import os
import signal
import subprocess

from carob.linux import pidfd


def test_a_process_lives_ends_and_is_gone() -> None:
    child = subprocess.Popen(["sleep", "60"])
    fd = pidfd.open_pidfd(child.pid)
    assert fd is not None
    assert not pidfd.has_ended(fd)
    assert pidfd.send_signal(fd, signal.SIGKILL)
    os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOWAIT)
    assert pidfd.has_ended(fd), "ended, though nobody has waited for it"
    child.wait()
    assert pidfd.has_ended(fd)
    assert not pidfd.send_signal(fd, signal.SIGKILL)
    os.close(fd)
    assert pidfd.open_pidfd(child.pid) is None


def test_what_is_no_process() -> None:
    for pid in (0, -1, 1 << 30):
        assert pidfd.open_pidfd(pid) is None

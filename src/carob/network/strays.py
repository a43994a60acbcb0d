"""Plugins that outlived whoever ran them, found by what is in their environment and their children's."""

from __future__ import annotations

import os
from _signal import SIGKILL

from carob.linux.files import read_file
from carob.linux.pidfd import open_pidfd, send_signal


def kill(container_id: str) -> int:
    """Kills every process that runs as a CNI plugin for this container; returns how many there were."""
    mark = f"CNI_CONTAINERID={container_id}".encode()
    killed = 0
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        pidfd = open_pidfd(int(name))
        if pidfd is None:
            continue
        try:
            # Looked at with the pidfd open: what is killed is what was looked at.
            if mark in _environment(name) and send_signal(pidfd, SIGKILL):
                killed += 1
        finally:
            os.close(pidfd)
    return killed


def _environment(pid: str) -> list[bytes]:
    try:
        return read_file(f"/proc/{pid}/environ").split(b"\0")
    except OSError:  # gone, or not ours to look at
        return []

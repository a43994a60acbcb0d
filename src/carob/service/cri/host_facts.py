"""What the host has, as far as it decides on what a container gets."""

from __future__ import annotations

import os

from carob.service.cri.container_security import HostFacts

_MAY_LOWER = 1 << 24  # CAP_SYS_RESOURCE
_LEAST = -1000


def look() -> HostFacts:
    """Looks at it."""
    return HostFacts(
        apparmor=_read("/sys/module/apparmor/parameters/enabled").startswith("Y"),
        selinux=os.path.exists("/sys/fs/selinux/enforce"),
        least_oom_score_adj=_LEAST if _capabilities() & _MAY_LOWER else 0,
    )


def _capabilities() -> int:
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""

"""The root file system that all contestants run: a static busybox and nothing else."""

from __future__ import annotations

import os
import shutil

from bench.figure import Unmeasurable

_COMMANDS = ("sh", "true", "sleep", "cat")


def make(directory: str) -> str:
    """Makes it in a new directory and returns that."""
    busybox = shutil.which("busybox", path="/bin:/usr/bin:/usr/sbin:/sbin")
    if busybox is None:
        raise Unmeasurable("busybox is not installed (Debian: busybox-static)")
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        os.makedirs(os.path.join(directory, name))
    shutil.copy2(os.path.realpath(busybox), os.path.join(directory, "bin/busybox"))
    for name in _COMMANDS:
        os.symlink("busybox", os.path.join(directory, "bin", name))
    return directory

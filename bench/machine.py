"""On what a run was measured."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess


def describe(directory: str) -> dict[str, object]:
    """Kernel, processors, load, Python, the peers' versions, and the file system of the data directory."""
    return {
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "load": list(os.getloadavg()),
        "python": platform.python_version(),
        "crun": _first_line("crun", "--version"),
        "podman": _first_line("podman", "--version"),
        "skopeo": _first_line("skopeo", "--version"),
        "containerd": _first_line("containerd", "--version"),
        "runc": _first_line("runc", "--version"),
        "umoci": _first_line("umoci", "--version"),
        "file system": _first_line("stat", "-f", "-c", "%T", directory),
    }


def _first_line(*argv: str) -> str | None:
    if shutil.which(argv[0]) is None:
        return None
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    return said[0].strip() if said else None

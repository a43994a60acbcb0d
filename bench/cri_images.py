"""The image that both services run, as one archive for both; for containerd it is the pause image, too."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile

from carob.spec.oci.descriptor import platform_of_machine

REFERENCE = "docker.io/library/bench:latest"


def write_archive(rootfs: str, path: str) -> str:
    """Writes what ``docker save`` would of a root file system whose command sleeps; returns the path."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(rootfs, ".")
    layer = packed.getvalue()
    document = {
        "architecture": platform_of_machine(os.uname().machine).architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "3600"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
    }
    config = json.dumps(document).encode()
    names = f"{_digest(config)}.json", f"{_digest(layer)}/layer.tar"
    manifest = [{"Config": names[0], "RepoTags": [REFERENCE], "Layers": [names[1]]}]
    with tarfile.open(path, "w") as tar:
        for name, content in (
            (names[0], config),
            (names[1], layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

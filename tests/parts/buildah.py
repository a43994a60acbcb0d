"""buildah, an independent writer and reader of images, with a storage of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.parts.lacking import command


class Buildah:
    """Runs buildah on the storage below ``directory``. Needs root; `Lacking` where it is not installed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._program = command("buildah")
        self._policy = directory / "policy.json"
        self._policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def run(self, *words: str) -> str:
        """Run a subcommand and return its standard output; RuntimeError with what it said where it fails."""
        top = str(self.directory)
        storage = [f"--root={top}/root", f"--runroot={top}/run", "--storage-driver=vfs"]
        result = subprocess.run(
            [self._program, *storage, *words],
            env={"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin", "HOME": top, "TMPDIR": top},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise RuntimeError(f"buildah {' '.join(words)}: {result.stderr.strip()[-2000:]}")
        return result.stdout.strip()

    def take(self, image: str) -> str:
        """Begin a working container with an image, as skopeo names it or ``scratch``; its name."""
        return self.run("from", f"--signature-policy={self._policy}", image)

    def commit(self, container: str, image: str, *, form: str = "oci") -> None:
        """Write the working container as an image, as skopeo names it; ``form`` is ``oci`` or ``docker``."""
        self.run("commit", f"--signature-policy={self._policy}", f"--format={form}", container, image)


@contextlib.contextmanager
def working_buildah(directory: Path) -> Iterator[Buildah]:
    """Buildah with its storage in a new directory, emptied at the end."""
    directory.mkdir(parents=True, exist_ok=True)
    buildah = Buildah(directory)
    try:
        yield buildah
    finally:
        buildah.run("rm", "--all")
        buildah.run("rmi", "--all", "--force")

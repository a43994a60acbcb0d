"""skopeo, the independent reader and writer of images, with nobody's own configuration."""

from __future__ import annotations

import os
import subprocess
import tempfile

from tests.parts.lacking import command


def run(*words: str) -> bytes:
    """Run skopeo and return its standard output; RuntimeError with what it said where it fails."""
    with tempfile.TemporaryDirectory(prefix="carob-skopeo-") as home:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "TMPDIR": home}
        result = subprocess.run(
            [command("skopeo"), "--insecure-policy", "--registries.d", home, *words],
            env=environment | {"XDG_RUNTIME_DIR": home, "REGISTRY_AUTH_FILE": home + "/auth.json"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    if result.returncode != 0:
        raise RuntimeError(f"skopeo {' '.join(words)}: {result.stderr.decode('utf-8', 'replace').strip()}")
    return result.stdout


def copy(source: str, destination: str, *options: str) -> None:
    """Copy an image between transports as skopeo names them."""
    run("copy", "--quiet", *options, source, destination)

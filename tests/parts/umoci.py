"""umoci, by whose unpacked trees carob's are judged."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.parts.lacking import command


def unpack(image: str, rootfs: Path) -> None:
    """Unpack ``LAYOUT:TAG`` into a directory that is not there yet (umoci-raw-unpack(1))."""
    run("raw", "unpack", "--image", image, str(rootfs))


def run(*words: str) -> str:
    """Run umoci and return its standard output; RuntimeError with what it said where it fails."""
    result = subprocess.run(
        [command("umoci"), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"umoci {' '.join(words)}: {result.stderr.strip()[-2000:]}")
    return result.stdout

"""What the machine lacks, said in a way that tests and benchmarks can each turn into their own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class Lacking(Exception):
    """This part cannot be made here; the message says what is lacking and what would help."""


def command(name: str) -> str:
    """Return the path of a command, installed or unpacked beside by set-up. `Lacking` where there is none."""
    beside = sorted((ROOT / ".cache/debian").glob("*/usr/*bin"))
    where = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM, *map(str, beside)])
    found = shutil.which(name, path=where)
    if found is None:
        raise Lacking(f"needs the command {name}: setup/install --test")
    return found

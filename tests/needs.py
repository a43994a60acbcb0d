"""What a test needs of the machine, and what becomes of it where that is lacking.

At somebody's desk a test that cannot run is skipped, with its reason. Under continuous integration
(``CI`` is set) nothing may be lacking: the test fails, so that no suite is green for having run
nothing. Only what no set-up can give, because the kernel or the hardware has not got it, may be
passed over there as well: `impossible_here`.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
IMPOSSIBLE = "not possible on this kind of machine: "
_PT_INTERP = 3


def under_ci() -> bool:
    """Say whether nothing may be skipped."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def require(condition: object, reason: str) -> None:
    """Go on if `condition` holds; else skip the test, or fail it under continuous integration."""
    if condition:
        return
    if under_ci():
        pytest.fail(f"cannot run here: {reason}", pytrace=False)
    pytest.skip(reason)


def require_root() -> None:
    """Go on as root only."""
    require(os.geteuid() == 0, "needs root")


def require_command(name: str) -> str:
    """Return the path of a command; where there is none the test cannot run."""
    path = shutil.which(name)
    require(path, f"needs the command {name}: setup/install --test")
    assert path is not None
    return path


def impossible_here(reason: str) -> NoReturn:
    """Pass over the test, under continuous integration too: no set-up could give what is lacking."""
    pytest.skip(IMPOSSIBLE + reason)


def static_busybox() -> Path:
    """Return the path of a busybox that runs alone in an otherwise empty root file system."""
    candidates = (Path("/bin/busybox"), ROOT / ".cache/debian/busybox-static/bin/busybox")
    found = [path for path in candidates if path.is_file() and _is_static(path)]
    require(found, "needs Debian's busybox-static: setup/install --user")
    return found[0]


def _is_static(path: Path) -> bool:
    """Say whether an ELF file names no interpreter, that is, no dynamic loader (elf(5))."""
    data = path.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        return False
    order = "<" if data[5] == 1 else ">"
    (table,) = struct.unpack_from(order + "Q", data, 32)
    size, count = struct.unpack_from(order + "HH", data, 54)
    kinds = [struct.unpack_from(order + "I", data, table + i * size)[0] for i in range(count)]
    return _PT_INTERP not in kinds

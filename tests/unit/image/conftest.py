from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from carob.image import Store, Trees
from tests.needs import require_root, static_busybox

APPLETS = ("sh", "echo", "true", "sleep", "cat", "ls")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data: Path) -> Store:
    return Store(str(data))


@pytest.fixture
def trees(data: Path) -> Trees:
    require_root()
    return Trees(str(data))


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A root file system made of Debian's static busybox."""
    root = tmp_path / "rootfs"
    for name in ("bin", "etc", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(static_busybox(), root / "bin" / "busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    os.link(root / "bin" / "busybox", root / "bin" / "twin")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (root / "tmp").chmod(0o1777)
    (root / "bin" / "twin").chmod(0o4755)
    os.mkfifo(root / "tmp" / "fifo", 0o640)
    os.utime(root / "etc" / "passwd", ns=(1, 1_234_567_890_123_456_789))
    os.utime(root / "bin" / "sh", ns=(0, -1_500_000_000), follow_symlinks=False)
    os.setxattr(root / "etc" / "passwd", "user.carob", b"\x00=\n\xff")
    return root

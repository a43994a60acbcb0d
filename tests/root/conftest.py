"""Real pods in a temporary data directory; whatever a test does, none of them is left."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob import App, Engine
from tests.needs import require_command, require_root
from tests.root import host_view

_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
worker:x:1234:2345:Worker:/home/worker:/bin/sh
"""
_GROUP = """\
root:x:0:
worker:x:2345:
drivers:x:3456:worker
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.root)


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory, busybox: Path) -> Path:
    """A root file system of one static busybox, two users and some programs that cannot be run."""
    top = tmp_path_factory.mktemp("rootfs")
    for name in ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "home/worker"):
        (top / name).mkdir(parents=True)
    shutil.copy(busybox, top / "bin/busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if not (top / "bin" / applet).exists():
            (top / "bin" / applet).symlink_to("busybox")
    (top / "etc/passwd").write_text(_PASSWD)
    (top / "etc/group").write_text(_GROUP)
    (top / "bin/plain").write_text("no program\n")
    top.chmod(0o755)
    (top / "tmp").chmod(0o1777)
    os.chown(top / "home/worker", 1234, 2345)
    return top


@pytest.fixture
def engine(tmp_path: Path, rootfs: Path, supervisor_launcher: tuple[str, ...]) -> Iterator[Engine]:
    """An engine with the image ``busybox`` in a data directory of its own."""
    require_root()
    require_command("crun")
    made = make_engine(tmp_path / "data", rootfs, supervisor_launcher)
    try:
        yield made
    finally:
        host_view.end_all(made.data_dir)


def make_engine(data_dir: Path, rootfs: Path, launcher: tuple[str, ...]) -> Engine:
    """An engine with the image ``busybox``, its layer unpacked: links to files that nobody changes."""
    first = rootfs.with_name(f"{rootfs.name}-data")
    if not first.exists():
        engine = Engine(first, launcher=launcher)
        engine.images.import_path(rootfs, name="busybox")
        engine.prepare(App("busybox", ["true"])).remove()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    shares_files = data_dir.parent.stat().st_dev == first.stat().st_dev
    subprocess.run(["cp", "-al" if shares_files else "-a", first, data_dir], check=True)
    return Engine(data_dir, launcher=launcher)

"""Overlays are made for new kernels and for old ones, by paths of any length, and never on the host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import SRC
from tests.needs import require_root

PROGRAM = """
import os, sys
from carob.linux import mount, namespaces
pid, pidfd = namespaces.fork_into(namespaces.CLONE_NEWNS)
if pid:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
mount.set_propagation("/", mount.MS_PRIVATE)
way, top = sys.argv[1:3]
lower = [f"{top}/{number}" for number in range(int(sys.argv[3]))]
if way == "old":
    def refuse(*_):
        raise OSError(22, "Invalid argument")
    mount._overlay_by_layers = refuse
made = mount.overlay(lower, f"{top}/upper", f"{top}/work", mount.MOUNT_ATTR_NODEV)
mount.attach(made, f"{top}/at")
print(sorted(os.listdir(f"{top}/at")) == sorted(f"file-{number}" for number in range(len(lower))))
open(f"{top}/at/file-0").read()
os.mknod(f"{top}/at/null", 0o20666, os.makedev(1, 3))
try:
    open(f"{top}/at/null")
except PermissionError:
    print("a device node is no device")
with open("/proc/self/mountinfo") as table:
    lines = table.readlines()
print(not any(f"lowerdir={top}" in line or f"={top}/upper" in line for line in lines))
# Else its end would write back all that anybody has written to the file system of its upper directory.
print(all("volatile" in line.split(" - ")[1] for line in lines if f" {top}/at " in line))
os._exit(0)
"""


@pytest.mark.root
@pytest.mark.parametrize("layers", [1, 3, 100])
@pytest.mark.parametrize("way", ["new", "old"])
@pytest.mark.parametrize("depth", [0, 3])
def test_an_overlay_of_layers(tmp_path: Path, way: str, layers: int, depth: int) -> None:
    require_root()
    top = tmp_path.joinpath(*["d" * 200] * depth)
    for name in ("upper", "work", "at", *map(str, range(layers))):
        (top / name).mkdir(parents=True)
    for number in range(layers):
        (top / str(number) / f"file-{number}").write_text("x")
    before = Path("/proc/self/mountinfo").read_text()
    said = subprocess.run(
        [sys.executable, "-u", "-c", PROGRAM, way, str(top), str(layers)],
        env={"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.stdout, said.stderr) == ("True\na device node is no device\nTrue\nTrue\n", "")
    assert Path("/proc/self/mountinfo").read_text() == before

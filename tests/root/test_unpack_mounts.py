"""Unpacked layers as overlays: 127 of them, with owners mapped, and beside what umoci unpacks."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from carob.image import Store, Trees
from tests.needs import ROOT, impossible_here, require_command, require_root
from tests.parts import umoci
from tests.parts.big_image import BigImages, LayoutImage
from tests.unit.image.archives import directory, layout_of, member, snapshot, tar

MOUNTED = """
import os, pickle, subprocess, sys
sys.path[:0] = [sys.argv[1] + "/src", sys.argv[1]]
from carob.linux import mount
from tests.parts.compare_trees import differences
from tests.unit.image.archives import snapshot
at, upper, work, other, *lower = sys.argv[2:]
mount.attach(mount.overlay(lower, upper, work), at)
# An overlay's root has the mode, owner and times of its upper directory.
found = differences(at, other, skip=lambda name: name == b".") if other else snapshot(at)
sys.stdout.buffer.write(pickle.dumps(found))
"""


def mounted(lower: tuple[str, ...], place: Path, other: str = "") -> object:
    """A snapshot of the overlay of ``lower``, or how it differs from another tree, in a mount namespace."""
    for name in ("at", "upper", "work"):
        (place / name).mkdir()
    words = [str(place / "at"), str(place / "upper"), str(place / "work"), other, *lower]
    command = [
        "unshare",
        "--mount",
        "--propagation=private",
        sys.executable,
        "-c",
        MOUNTED,
        str(ROOT),
        *words,
    ]
    return pickle.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def test_127_layers(tmp_path: Path) -> None:
    require_root()
    layers = [tar(directory("d"), member(f"d/f{number}", b"x")) for number in range(126)]
    layers.append(tar(*[member(f"d/.wh.f{number}") for number in range(0, 126, 2)]))
    store, trees = Store(str(tmp_path / "data")), Trees(str(tmp_path / "data"))
    tree = trees.ensure(store.import_path(str(layout_of(tmp_path / "layout", *layers)), name="app"))
    seen = mounted(tree.lower_dirs, tmp_path)
    assert isinstance(seen, dict)
    assert seen.keys() == {".", "d", *[f"d/f{number}" for number in range(1, 126, 2)]}
    tree.copy_to(str(tmp_path / "copy"))
    assert snapshot(tmp_path / "copy").keys() == seen.keys()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd", "many"])
def test_a_real_image_is_what_umoci_unpacks(big_images: BigImages, tmp_path: Path, kind: str) -> None:
    require_command("umoci")
    image: LayoutImage = getattr(big_images, kind)
    store, trees = Store(str(tmp_path / "data")), Trees(str(tmp_path / "data"))
    tree = trees.ensure(store.import_oci_layout(str(image.path), name="app", reference=image.tag))
    # umoci knows no zstd; the layers are the same.
    umoci.unpack((image if kind == "many" else big_images.plain).umoci, tmp_path / "theirs")
    found = mounted(tree.lower_dirs, tmp_path, str(tmp_path / "theirs"))
    assert isinstance(found, list)
    assert found == []
    ours, theirs = os.stat(tree.lower_dirs[0]), os.stat(tmp_path / "theirs")
    for field in ("st_mode", "st_uid", "st_gid", "st_mtime_ns"):
        assert getattr(ours, field) == getattr(theirs, field)


IDMAPPED = """
import errno, os, sys
sys.path[:0] = [sys.argv[1] + "/src", sys.argv[1]]
from carob.linux import idmap, mount, namespaces
pid, pidfd = namespaces.fork_into(namespaces.CLONE_NEWNS)
if pid:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
mount.set_propagation("/", mount.MS_PRIVATE)
kernel, upper, work, *lower = sys.argv[2:]
uids, gids = [(0, 100_000, 65536)], [(0, 200_000, 65536)]
namespace = idmap.new_user_namespace(uids, gids)
mapping = idmap.Mapping(namespace, uids, gids)
by_layers = mount._overlay_by_layers
def needs_mounted_layers(*arguments):
    mount._overlay_by_layers = by_layers
    raise OSError(errno.EINVAL, "not mounted")
if kernel == "old":
    mount._overlay_by_layers = needs_mounted_layers
before = open("/proc/self/mountinfo").read()
try:
    alone = mapping.clone(lower[0])
except OSError as error:
    print("cannot", error)
    sys.exit()
print(*os.stat("mine", dir_fd=alone)[4:6])
for path in (upper, work):
    os.chown(path, 100_000, 200_000)
try:
    made = mount.overlay(lower, upper, work, mapping=mapping)
except OSError as error:
    print("cannot", error)
    sys.exit()
assert open("/proc/self/mountinfo").read() == before
for name in ("mine", "below"):
    print(*os.stat(name, dir_fd=made)[4:6])
os.chown(f"/proc/self/fd/{made}/below", 100_009, 200_009)
print(*os.stat(upper + "/below")[4:6], *os.stat(lower[1] + "/below")[4:6])
"""


@pytest.mark.parametrize("kernel", ["new", "old"])
def test_one_tree_serves_pods_with_any_mapping(tmp_path: Path, kernel: str) -> None:
    require_root()
    layers = tar(member("below", b"x", uid=1, gid=2)), tar(member("mine", b"x", uid=5, gid=6))
    store, trees = Store(str(tmp_path / "data")), Trees(str(tmp_path / "data"))
    tree = trees.ensure(store.import_path(str(layout_of(tmp_path / "layout", *layers)), name="app"))
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    words = [str(ROOT), kernel, str(tmp_path / "upper"), str(tmp_path / "work"), *tree.lower_dirs]
    run = subprocess.run(
        [sys.executable, "-c", IDMAPPED, *words], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    if "cannot" in run.stdout:
        impossible_here(f"idmapped overlays: {lines[-1]}")
    assert lines == ["100005 200006", "100005 200006", "100001 200002", "100009 200009 1 2"]


FULL = """
import os, subprocess, sys
sys.path[:0] = [sys.argv[1] + "/src", sys.argv[1]]
from carob.errors import OutOfResources
from carob.image import Store, Trees
small, options, data = sys.argv[2:]
subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", small], check=True)
os.symlink(data + "/images", small + "/images")
store, trees = Store(small), Trees(small)
try:
    trees.ensure(store.resolve("app"))
except OutOfResources as error:
    print(error.message)
there = [name for name in os.listdir(trees.layers) if not name.startswith(".")]
print(there, os.listdir(trees.layers + "/.tmp"))
"""


@pytest.mark.parametrize("options", ["size=3m", "nr_inodes=60"])
def test_a_disk_that_fills_up_keeps_nothing_half_done(tmp_path: Path, options: str) -> None:
    require_root()
    files = [member(f"d{number}/f", os.urandom(50_000)) for number in range(100)]
    Store(str(tmp_path / "data")).import_path(str(layout_of(tmp_path / "layout", tar(*files))), name="app")
    (tmp_path / "small").mkdir()
    words = [str(ROOT), str(tmp_path / "small"), options, str(tmp_path / "data")]
    command = ["unshare", "--mount", "--propagation=private", sys.executable, "-c", FULL, *words]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    said, left = run.stdout.splitlines()
    assert said.startswith("layer sha256:")
    assert "entry 'd" in said
    assert said.endswith("No space left on device")
    assert left == "[] []"

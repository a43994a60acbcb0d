"""Unpacking without root, in a user namespace: owners mapped, overlay's marks as users may mount them."""

from __future__ import annotations

import os
import pickle
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.image import Store, Trees
from tests.needs import ROOT, require, require_command, require_root
from tests.unit.image.archives import (
    device,
    directory,
    hard_link,
    layout_of,
    member,
    snapshot,
    symlink,
    tar,
)

FIRST = 300_000
RANGE = 65_536
WORKER = "carob.image.layers.worker"

BASE = tar(
    directory("./", mtime=1), directory("etc", mode=0o750, uid=3, gid=4, mtime=13), member("etc/old", b"old"),
    member("etc/keep", b"k", uid=1000, gid=1000, mode=0o6755), directory("etc/cron"),
    member("etc/cron/a", b"a"),
    hard_link("etc/twin", "etc/keep"), symlink("link", "etc", uid=7), device("null", 1, 3),
    member("cap", b"x", pax_headers={"SCHILY.xattr.security.capability": "\1\0\0\2\0\4" + "\0" * 14}),
    directory("closed", mode=0o000, uid=99), member("closed/file", b"c", mode=0o000, uid=99),
)  # fmt: skip
TOP = tar(
    member("etc/.wh.old"), member("etc/cron/.wh..wh..opq"), member("etc/cron/b", b"b"),
    member("closed/new", b"n"),
)  # fmt: skip
SEEN = {
    ".",
    "etc",
    "etc/keep",
    "etc/twin",
    "etc/cron",
    "etc/cron/b",
    "link",
    "cap",
    "closed",
    "closed/file",
    "closed/new",
}

AS_USER = """
mount --bind "$1" /etc/subuid && mount --bind "$1" /etc/subgid && shift &&
exec setpriv --reuid "$1" --regid "$2" --clear-groups -- env -C / HOME=/ "${@:3}"
"""


class Account:
    """A user of the machine, with a directory of its own, and ranges of owners or none."""

    def __init__(self, place: Path) -> None:
        self.place = place
        entry = next((one for one in pwd.getpwall() if 0 < one.pw_uid < 1000 and one.pw_gid > 0), None)
        require(entry is not None, "needs a user who is not root")
        assert entry is not None
        self.uid, self.gid = entry.pw_uid, entry.pw_gid
        self.data = place / "home" / "data"
        self.ranges = place / "ranges"
        self.ranges.write_text(f"{entry.pw_name}:{FIRST}:{RANGE}\n")
        (place / "home").mkdir()
        os.chown(place / "home", self.uid, self.gid)
        place.chmod(0o755)

    def run(self, program: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(program, *words), check=check, capture_output=True, text=True)

    def command(self, program: str, *words: str) -> list[str]:
        return [
            "unshare", "--mount", "--propagation=private", "bash", "-c", AS_USER, "bash", str(self.ranges),
            str(self.uid), str(self.gid), sys.executable, "-B", "-c", program, str(ROOT), str(self.data),
            *words,
        ]  # fmt: skip


@pytest.fixture
def user() -> Iterator[Account]:
    require_root()
    for command in ("newuidmap", "unshare", "setpriv"):
        require_command(command)
    # The session's own directory is closed to others.
    place = Path(tempfile.mkdtemp(prefix="carob-userns-", dir="/var/tmp"))
    try:
        account = Account(place)
        ready = account.run(
            "import sys; sys.path.insert(0, sys.argv[1] + '/src'); import carob.image", check=False
        )
        require(ready.returncode == 0, f"another user cannot run carob from here: {ready.stderr[-300:]}")
        yield account
    finally:
        shutil.rmtree(place)


START = """
import sys; sys.path[:0] = [sys.argv[1] + "/src", sys.argv[1]]
import os
from carob.errors import CarobError
from carob.image import Store, Trees
store, trees = Store(sys.argv[2]), Trees(sys.argv[2])
image = store.import_path(sys.argv[3], name="app")
"""
ENSURE = (
    START
    + """
from carob.image.layers.record import check_layer
try:
    tree = trees.ensure(image)
except CarobError as error:
    print(type(error).__name__, error.message, error.hint)
    sys.exit(7)
assert [check_layer(trees, chain_id) for chain_id in image.chain_ids] == [[] for _ in image.chain_ids]
print(*tree.lower_dirs, trees.form().value)
"""
)


def layout(user: Account, *layers: bytes) -> str:
    path = layout_of(user.place / "layout", *layers)
    return str(path)


# Shows what a user's own mount of the layers shows: in a user namespace like that of the user's pods.
SHOW = """
import os, pickle, sys
sys.path[:0] = [sys.argv[1] + "/src", sys.argv[1]]
from carob.linux import idmap, mount, namespaces
from carob.linux.syscall import SYS_UNSHARE, syscall
from tests.unit.image.archives import snapshot
uid, gid, mapped = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "mapped"
at, *lower = sys.argv[5:]
up, told = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    syscall(SYS_UNSHARE, namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNS)
    os.write(up[1], b"x")
    os.read(told[0], 1)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    options = [("lowerdir+", path) for path in lower] + [("userxattr", None)]
    mount.attach(mount.new("overlay", options), at)
    os.write(1, pickle.dumps(snapshot(at)))
    os._exit(0)
os.read(up[0], 1)
for name, own in (("uid_map", uid), ("gid_map", gid)):
    ranges = [(0, own, 1)] + ([(1, 300000, 65536)] if mapped else [])
    with open(f"/proc/{child}/{name}", "wb", buffering=0) as file:
        file.write(idmap.map_lines(ranges))
os.write(told[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def shown(user: Account, lower: list[str], *, mapped: bool = True) -> dict[str, tuple[object, ...]]:
    at = user.place / "home" / "at"
    at.mkdir()
    os.chown(at, user.uid, user.gid)
    words = [str(ROOT), str(user.uid), str(user.gid), "mapped" if mapped else "single", str(at), *lower]
    run = subprocess.run([sys.executable, "-c", SHOW, *words], check=True, capture_output=True)
    found: dict[str, tuple[object, ...]] = pickle.loads(run.stdout)
    return found


def test_owners_are_mapped(user: Account, tmp_path: Path) -> None:
    *lower, form = user.run(ENSURE, layout(user, BASE, TOP)).stdout.split()
    assert form == "user"
    on_disk = Path(lower[1])
    assert (on_disk / "etc").stat().st_uid == FIRST + 2
    assert (on_disk / "etc/keep").stat().st_gid == FIRST + 999
    assert stat.S_IMODE((on_disk / "etc/keep").stat().st_mode) == 0o6755
    assert (on_disk / "closed").stat().st_uid == FIRST + 98
    assert on_disk.stat().st_uid == user.uid
    assert not (on_disk / "null").exists()

    store, trees = Store(str(tmp_path / "data")), Trees(str(tmp_path / "data"))
    trees.ensure(store.import_path(str(user.place / "layout"), name="app")).copy_to(str(tmp_path / "copy"))
    by_root = {name: entry for name, entry in snapshot(tmp_path / "copy").items() if name != "null"}
    assert by_root.keys() == SEEN
    assert shown(user, lower) == by_root


WHOLE = (
    START
    + """
import io, tarfile, threading
from carob.image.layers.hands import open_hands
tree = trees.ensure(image)
hands = open_hands()
readable, writable = os.pipe()
found = []
def read():
    with os.fdopen(readable, "rb") as file:
        found.append(file.read())
reader = threading.Thread(target=read)
reader.start()
hands.pack(tree.lower_dirs, writable)
os.close(writable)
reader.join()
with tarfile.open(fileobj=io.BytesIO(found[0])) as archive:
    print(sorted((member.name, member.uid) for member in archive))
print(sum(map(hands.disk_bytes, tree.lower_dirs)) > 0)
tree.copy_to(sys.argv[4])
hands.close()
"""
)


def test_packing_and_copying_as_a_user(user: Account) -> None:
    target = user.place / "home" / "copy"
    said = user.run(WHOLE, layout(user, BASE, TOP), str(target)).stdout.splitlines()
    assert ("etc/keep", 1000) in eval(said[0])
    assert {name for name, _ in eval(said[0])} == SEEN
    assert said[1] == "True"
    assert (target / "etc/keep").stat().st_uid == FIRST + 999
    assert snapshot(target).keys() == SEEN


def test_without_ranges_all_is_the_callers(user: Account) -> None:
    user.ranges.write_text("")
    *lower, form = user.run(ENSURE, layout(user, BASE, TOP)).stdout.split()
    assert form == "user"
    for layer in lower:
        assert {(entry[1], entry[2]) for entry in snapshot(layer).values()} == {(user.uid, user.gid)}
    seen = shown(user, lower, mapped=False)
    assert seen.keys() == SEEN
    assert {(entry[1], entry[2]) for entry in seen.values()} == {(0, 0)}
    assert seen["etc/keep"][0] == "0o106755"


def test_127_layers(user: Account) -> None:
    layers = [tar(directory("d"), member(f"d/f{number}", b"x", uid=number)) for number in range(126)]
    layers.append(tar(*[member(f"d/.wh.f{number}") for number in range(0, 126, 2)]))
    *lower, _ = user.run(ENSURE, layout(user, *layers)).stdout.split()
    seen = shown(user, lower)
    assert seen.keys() == {".", "d", *[f"d/f{number}" for number in range(1, 126, 2)]}
    assert [seen[f"d/f{number}"][1] for number in (1, 125)] == [1, 125]


def test_an_owner_outside_the_range(user: Account) -> None:
    run = user.run(ENSURE, layout(user, tar(member("a", b"x", uid=70_000))), check=False)
    assert run.returncode == 7, run.stderr
    assert run.stdout.startswith("Unsupported layer sha256:")
    assert "entry 'a': the owner 70000:0 is not mapped" in run.stdout
    assert "/etc/subuid" in run.stdout
    assert sorted(os.listdir(user.data / "layers")) == [".chains", ".form", ".records", ".tmp"]
    assert os.listdir(user.data / "layers/.tmp") == []


def test_a_hard_link_to_a_device_is_left_out_like_it(user: Account) -> None:
    layer = tar(
        directory("dev"), device("dev/null", 1, 3), member("b", b"x"), hard_link("a", "dev/null"),
        hard_link("b", "a"), hard_link("c", "dev/null"), member("c", b"y"), hard_link("d", "c"),
    )  # fmt: skip
    lower, _ = user.run(ENSURE, layout(user, layer)).stdout.split()
    assert sorted(snapshot(lower)) == [".", "c", "d", "dev"]


def test_a_hostile_layer(user: Account) -> None:
    layer = tar(directory("d", mode=0, uid=99), member("d/x", b"x", uid=98), member("a/../b"))
    run = user.run(ENSURE, layout(user, layer), check=False)
    assert run.returncode == 7, run.stderr
    assert run.stdout.startswith("CorruptData layer sha256:")
    assert os.listdir(user.data / "layers/.tmp") == []


def test_roots_store_is_not_mixed_with_a_users(user: Account) -> None:
    path = layout(user, BASE)
    user.run(ENSURE, path)
    image = Store(str(user.data)).import_path(layout(user, TOP), name="other")
    with pytest.raises(Exception, match="in the form 'user', not 'trusted'"):
        Trees(str(user.data)).ensure(image)


KILL_WORKER = (
    START
    + """
import signal
from carob.image.layers.ensure import unpack_layers
from carob.image.layers.growing import StoredInput
from carob.image.layers.unpacking import Unpacking
def children():
    found = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children") as file:
            found += file.read().split()
    return [int(pid) for pid in found]
class Input(StoredInput):
    def read(self, size):
        data = super().read(min(size, 100_000))
        if not data:
            for pid in children():
                os.kill(pid, signal.SIGKILL)
        return data
with Unpacking(trees, image) as unpacking:
    try:
        unpacking.layer(0, lambda: Input(store.layout.open_blob(image.layers[0]), lambda: None))
    except CarobError as error:
        print(type(error).__name__, error.message)
print(os.listdir(trees.layers + "/.tmp"), children())
trees.ensure(image)
"""
)


def test_a_worker_that_is_killed(user: Account) -> None:
    random = [member(f"f{number}", os.urandom(20_000)) for number in range(40)]
    run = user.run(KILL_WORKER, layout(user, tar(*random)))
    said = run.stdout.splitlines()
    assert said[0].startswith("Unavailable the process that unpacks ended with status -9"), run.stdout
    assert said[1] == "[] []"


KILL_PARENT = (
    START
    + """
import time
from carob.image.layers.growing import StoredInput
from carob.image.layers.unpacking import Unpacking
class Input(StoredInput):
    def read(self, size):
        data = super().read(min(size, 100_000))
        if not data:
            print("now", flush=True)
            time.sleep(60)
        return data
with Unpacking(trees, image) as unpacking:
    unpacking.layer(0, lambda: Input(store.layout.open_blob(image.layers[0]), lambda: None))
"""
)


def test_a_parent_that_is_killed(user: Account) -> None:
    """Its worker ends with it, and who comes next starts anew."""
    random = [member(f"f{number}", os.urandom(20_000), uid=50) for number in range(40)]
    path = layout(user, tar(*random))
    parent = subprocess.Popen(
        [*user.command(KILL_PARENT, path)], stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "now\n"
    workers = [pid for pid in processes() if WORKER in command_line(pid) and owner(pid) == user.uid]
    assert workers
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 20
    while any(WORKER in command_line(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.01)
    user.run(ENSURE, path)
    assert os.listdir(user.data / "layers/.tmp") == []


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def owner(pid: int) -> int:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return -1

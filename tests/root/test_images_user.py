"""The store of a user who is not root: fetched, verified, measured, exported, collected, owners mapped."""

from __future__ import annotations

import json
import tarfile

import pytest

from tests.root.test_unpack_userns import Account
from tests.root.test_unpack_userns import user as user  # noqa: PLC0414 - a fixture
from tests.unit.image.archives import digest

STORY = """
import json, os, sys; sys.path[:0] = [sys.argv[1] + "/src", sys.argv[1]]
from carob.image import Store, Trees, gc
from carob.image.archives.export import commit_layers, export_image, extract_image
from carob.image.fetch.fetch import fetch
from tests.unit.image.archives import directory, member, tar
from tests.unit.image.memory_source import MemorySource

data = sys.argv[2]
store, trees, source = Store(data), Trees(data), MemorySource(reference="app")
closed = tar(directory("closed", mode=0o700, uid=5), member("closed/x", b"x" * 50000, uid=5, mode=0o600))
source.put_image(closed, tar(member("y", b"1")))
image = fetch(store, trees, source)
told = {"verified": repr(store.verify().broken), "layer_bytes": store.usage().layer_bytes}
export_image(store, trees, "app", data + "/../out.tar")
extract_image(store, trees, "app", data + "/../out")
told["extracted"] = sorted(os.listdir(data + "/../out"))
committed = commit_layers(store, trees.ensure(image).lower_dirs, name="committed")
told["committed"] = committed.diff_ids
os.truncate(trees.layer_path(image.chain_ids[1]) + "/y", 0)
told["broken"] = [broken.name for broken in store.verify().broken]
trees.ensure(image)
told["repaired"] = repr(store.verify().broken)
store.remove("app")
told["layers"] = gc(data, in_use=tuple, quarantine_grace_s=0).layers
left = (".tmp", ".quarantine", ".chains", ".records")
told["left"] = [os.listdir(data + "/layers/" + name) for name in left]
told["top"] = image.chain_ids[1]
print(json.dumps(told))
"""


def test_all_of_it_without_root(user: Account) -> None:
    told = json.loads(user.run(STORY).stdout)
    assert told["verified"] == told["repaired"] == "()"
    assert told["layer_bytes"] > 50_000  # also of what only its owner may read
    assert told["extracted"] == ["closed", "y"]
    assert told["broken"] == [told["top"]]
    assert told["layers"] == 2
    assert told["left"] == [[], [], [], []]
    exported = user.place / "home" / "out.tar"
    with tarfile.open(exported) as archive:
        members = {member.name: (member.uid, member.gid, member.size) for member in archive.getmembers()}
    assert members == {".": (0, 0, 0), "closed": (5, 0, 0), "closed/x": (5, 0, 50_000), "y": (0, 0, 1)}
    assert told["committed"] == [digest(exported.read_bytes())]


CLOSED = """
import json, os, sys; sys.path[:0] = [sys.argv[1] + "/src", sys.argv[1]]
from carob.image import Store, Trees, gc
from carob.image.archives.export import export_image
from carob.image.fetch.fetch import fetch
from tests.unit.image.archives import directory, member, tar
from tests.unit.image.memory_source import MemorySource

data, mode, owner = sys.argv[2], int(sys.argv[3], 8), int(sys.argv[4])
store, trees, source = Store(data), Trees(data), MemorySource(reference="app")
root = directory("./", mode=mode, uid=owner)
source.put_image(tar(root, member("x", b"x", uid=owner)), tar(root, member("y", b"y", mode=0o600)))
image = fetch(store, trees, source)
told = {"verified": repr(store.verify().broken)}
with trees.hold(image) as tree:
    told["held"] = gc(data, in_use=tuple).layers
export_image(store, trees, "app", data + "/../out.tar")
os.truncate(store.layout.path + "/../layers/.records/" + image.chain_ids[1][7:], 5)
told["aside"] = [bool(broken.moved_to) for broken in store.verify().broken]
trees.ensure(image)
store.remove("app")
with trees.hold(image) as tree:
    told["held without a name"] = gc(data, in_use=tuple).layers
told["collected"] = gc(data, in_use=tuple, quarantine_grace_s=0).layers
told["left"] = [name for name in os.listdir(data + "/layers") if name[0] != "."]
print(json.dumps(told))
"""


@pytest.mark.parametrize(("mode", "owner"), [("700", "5"), ("700", "0"), ("0", "0"), ("111", "5")])
def test_an_image_whose_root_directory_is_closed(user: Account, mode: str, owner: str) -> None:
    """Also where the layers' own directories belong to others, or let nobody in, they are locked and kept."""
    told = json.loads(user.run(CLOSED, mode, owner).stdout)
    assert told == {
        "verified": "()",
        "held": 0,
        "aside": [True],
        "held without a name": 0,
        "collected": 2,
        "left": [],
    }
    with tarfile.open(user.place / "home/out.tar") as archive:
        top, *_ = archive.getmembers()
    assert (oct(top.mode), str(top.uid)) == (oct(int(mode, 8)), owner)

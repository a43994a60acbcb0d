"""Mutated layers: a layer or an error of carob's comes of them, and nothing outside the layer changes.

``FUZZ_EXAMPLES=100000 pytest tests/unit/image/test_fuzz_layers.py`` goes on for longer.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carob.errors import CarobError, CorruptData, OutOfResources, Unsupported
from carob.image.compression import Compression, decompressed
from carob.image.files.overlay import OverlayForm
from carob.image.layers.check import check_tree
from carob.image.layers.extract import extract_layer
from carob.image.layers.hands import OwnHands
from carob.image.layers.maker import Making, make_files
from carob.image.layers.mode import UnpackMode
from carob.image.layers.settle import settle_tree
from carob.image.layers.unsettled import Unsettled
from carob.image.tar.limits import Allowance, UnpackLimits
from tests.needs import require_root
from tests.unit.image.archives import (
    device,
    digest,
    directory,
    hard_link,
    member,
    snapshot,
    symlink,
    tar,
)

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
SETTINGS = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
REFUSED = (CorruptData, Unsupported, OutOfResources)
LIMITS = UnpackLimits(layer_bytes=1 << 22, entries=500)

BASE = tar(
    directory("bin"), member("bin/sh", b"sh"), directory("etc", mode=0o750), member("etc/passwd", b"x"),
    symlink("lib", "usr/lib"), directory("usr/lib/a/b"), member("usr/lib/a/b/c", b"c"),
)  # fmt: skip
ACL = "user::rw-,user:5:r--,group::r--,mask::r--,other::---"
SEEDS = [
    tar(
        directory("./", mtime=1.5), directory("etc", mode=0o1777, uid=7), member("etc/a", b"x" * 700),
        hard_link("b", "etc/a"), symlink("l", "etc"), member("l/through", b"y"), member("etc/.wh.passwd"),
        member("usr/lib/.wh..wh..opq"), member("lib/new", b"z"), member("deep/er/and/deeper", b"d"),
    ),
    tar(
        directory("d"), member("d/x", b"1"), hard_link("y", "d/x"), member("d", b"2"), directory("d"),
        member("d/x", b"3"), hard_link("d/y", "d/x"), symlink("d/x", "../y"), member(".wh.bin"),
        device("null", 1, 3), member("fifo", None, type=tarfile.FIFOTYPE), directory("bin"), member("lib"),
    ),
    tar(
        member("n" * 150, b"x", uid=1 << 30), symlink("m" * 120, "t" * 130), member("old", b"12"),
        directory("a/.wh..wh..plnk"), member("usr/.wh.lib"), member("usr/lib/x"),
        format=tarfile.GNU_FORMAT,
    ),
    tar(
        member("s", b"12", pax_headers={"GNU.sparse.map": "5,1,8,1", "GNU.sparse.size": "9", "mtime": "1.5"}),
        member("x", b"x", pax_headers={"SCHILY.xattr.user.a": "b", "SCHILY.xattr.trusted.b": "c"}),
        member("acl", b"x", pax_headers={"SCHILY.acl.access": ACL}),
        directory("acl.d", pax_headers={"SCHILY.acl.default": "user::rwx,group::r-x,other::r-x"}),
        member("o", None, type=tarfile.SYMTYPE, linkname="/", pax_headers={"SCHILY.xattr.trusted.x": "y"}),
    ),
]  # fmt: skip
NAMES = [
    b"..",
    b"/etc/passwd",
    b"etc",
    b"d/x",
    b"l",
    b".wh.etc",
    b".wh..wh..opq",
    b"./",
    b"a/../b",
    b"lib",
    b"\xff\n",
]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """The base layer, settled, beside something that must not change."""
    require_root()
    directory_ = Path(tempfile.mkdtemp(prefix="carob-fuzz-"))
    (directory_ / "outside").mkdir()
    (directory_ / "outside" / "file").write_text("safe")
    (directory_ / "base").mkdir()
    unpacked(directory_, BASE, "base", parents=[])
    yield directory_
    shutil.rmtree(directory_)


def refusal(run: Callable[[], object]) -> CarobError | None:
    """The error that says no; any other is let through."""
    try:
        run()
    except REFUSED as error:
        return error
    return None


def pieces_of(data: bytes, size: int) -> Callable[[], bytes]:
    parts = iter([data[position : position + size] for position in range(0, len(data), size)])
    return lambda: next(parts, b"")


def unpacked(place: Path, data: bytes, name: str, *, parents: list[str], size: int = 1000) -> Unsettled:
    tree, record = str(place / name), str(place / (name + ".record"))
    allowance = Allowance(LIMITS, "layer")
    allowance.compressed_bytes = len(data)
    making = Making("layer", tree, record, allowance)
    unsettled = make_files(making, pieces_of(data, size), UnpackMode.ROOT, has_no_umask=False)
    again = Unsettled.of(unsettled.document())
    settle_tree(tree, record, again, parents, OverlayForm.TRUSTED, "layer")
    assert check_tree(tree, record) == []
    return unsettled


def mutated(seed: bytes, chooser: random.Random) -> bytes:
    """Bytes changed, blocks moved, names put in, with checksums that fit again."""
    data = bytearray(seed)
    for _ in range(chooser.randrange(1, 9)):
        where = chooser.randrange(len(data))
        block = where - where % 512
        match chooser.randrange(8):
            case 0 | 1 | 2:
                data[where] = chooser.choice((0, 0x20, 0x2F, 0x30, 0x37, 0x39, 0x80, 0xFF))
            case 3:
                data[block + 156] = ord(chooser.choice("01234567xgLKSV"))
            case 4:
                name = chooser.choice(NAMES)
                start = block + chooser.choice((0, 157))
                data[start : start + len(name) + 1] = name + b"\0"
            case 5:
                other = chooser.randrange(len(data) // 512) * 512
                data[block : block + 512] = data[other : other + 512]
            case 6:
                other = chooser.randrange(len(data) // 512) * 512
                data[other:other] = data[block : block + 1024]
            case _:
                del data[block : block + 512]
        if len(data) < 1024:
            return bytes(data)
    for start in range(0, len(data) - 511, 512):
        if data[start + 257 : start + 262] == b"ustar":
            data[start + 148 : start + 156] = b" " * 8
            data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    return bytes(data)


@SETTINGS
@given(seed=st.integers(0, len(SEEDS) - 1), random_seed=st.integers(0, 1 << 48))
def test_mutated_tars(place: Path, seed: int, random_seed: int) -> None:
    """What is made is also exactly what its record says, and stays where it belongs."""
    chooser = random.Random(random_seed)
    shutil.rmtree(place / "layer", ignore_errors=True)
    (place / "layer").mkdir()
    outside = snapshot(place / "outside"), snapshot(place / "base"), sorted(os.listdir(place))
    descriptors = os.listdir("/proc/self/fd")
    data, size = mutated(SEEDS[seed], chooser), chooser.randrange(1, 4000)
    error = refusal(lambda: unpacked(place, data, "layer", parents=[str(place / "base")], size=size))
    if error is not None:
        assert error.message.startswith("layer")
        assert error.message.isprintable()
        assert len(error.message) < 700
    assert os.listdir("/proc/self/fd") == descriptors
    (place / "layer.record").unlink(missing_ok=True)
    assert (snapshot(place / "outside"), snapshot(place / "base"), sorted(os.listdir(place))) == outside
    shutil.rmtree(place / "layer")


def compress_zstd(data: bytes) -> bytes:
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    made: bytes = pytest.importorskip(name).compress(data)
    return made


COMPRESS = {Compression.GZIP: gzip.compress, Compression.ZSTD: compress_zstd}
FILES = {f"f{number}": random.Random(number).randbytes(900) for number in range(30)}
CONTENT = tar(*[member(name, content) for name, content in FILES.items()])


@SETTINGS
@given(compression=st.sampled_from(list(COMPRESS)), random_seed=st.integers(0, 1 << 48))
def test_mutated_streams(compression: Compression, random_seed: int) -> None:
    """No decompressor crashes, hangs, or gives other bytes without an error."""
    chooser = random.Random(random_seed)
    data = bytearray(COMPRESS[compression](CONTENT))
    for _ in range(chooser.randrange(1, 4)):
        where = chooser.randrange(len(data))
        match chooser.randrange(3):
            case 0:
                data[where] ^= 1 << chooser.randrange(8)
            case 1:
                del data[where : where + chooser.randrange(1, 2000)]
            case _:
                data[where:where] = data[chooser.randrange(len(data)) :][: chooser.randrange(1, 2000)]
    source = io.BytesIO(bytes(data))
    read = decompressed(compression, lambda size: source.read(min(size, 500)), "stream")

    def read_all() -> None:
        count = 0
        while piece := read(1 << 16):
            assert len(piece) <= 1 << 16
            count += len(piece)
            if count > 1 << 26:
                return

    error = refusal(read_all)
    assert error is None or error.message.startswith("stream")


@SETTINGS
@given(compression=st.sampled_from(list(COMPRESS)), random_seed=st.integers(0, 1 << 48))
def test_mutated_blobs(place: Path, compression: Compression, random_seed: int) -> None:
    """A blob that is not what its diff id says is an error, whatever thread notices it."""
    chooser = random.Random(random_seed)
    blob = bytearray(COMPRESS[compression](CONTENT))
    where = chooser.randrange(len(blob))
    if chooser.random() < 0.3:
        del blob[where:]
    else:
        blob[where] ^= 1 << chooser.randrange(8)
    source = io.BytesIO(bytes(blob))
    shutil.rmtree(place / "layer", ignore_errors=True)
    (place / "layer").mkdir()
    workplace = type("Place", (), {"tree": str(place / "layer"), "record": str(place / "layer.record")})()
    threads = threading.enumerate()
    error = refusal(
        lambda: extract_layer(
            lambda size: source.read(min(size, 3000)),
            OwnHands(UnpackMode.ROOT),
            what="layer",
            diff_id=digest(CONTENT),
            workplace=workplace,
            limits=LIMITS,
        )
    )
    if error is None:  # formats have bits that mean nothing; what comes out is right all the same
        assert {path.name: path.read_bytes() for path in (place / "layer").iterdir()} == FILES
    assert threading.enumerate() == threads
    (place / "layer.record").unlink(missing_ok=True)
    shutil.rmtree(place / "layer")

"""What an ACI must be (aci.md), in every compression; and what is none."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from carob.errors import CarobError, CorruptData, Unsupported
from carob.image.aci.archive import Archive, is_image_id, scan
from carob.image.aci.limits import AciLimits
from tests.needs import require_command
from tests.unit.image.aci.made import aci, app, file, folder, image_id, manifest
from tests.unit.image.archives import device, directory, hard_link, member, symlink, tar

LIMITS = AciLimits()


def scanned(data: bytes, limits: AciLimits = LIMITS) -> Archive:
    with tempfile.TemporaryFile() as spool:
        spool.write(data)
        spool.flush()
        return scan(spool.fileno(), "the image", limits)


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zstd.compress],
    ids=["plain", "gzip", "bzip2", "xz", "zstd"],
)
def test_every_compression_gives_the_same_image(compress: Callable[[bytes], bytes]) -> None:
    data = aci(manifest(app=app("/bin/sh")), file("etc/x", b"1"))
    found = scanned(compress(data))
    assert found.image_id == image_id(data)
    assert str(found.manifest.name) == "example.com/app"
    assert found.manifest_bytes == json.dumps(manifest(app=app("/bin/sh"))).encode()
    assert (found.size_bytes, found.plain_bytes) == (len(compress(data)), len(data))


def test_the_image_id_is_that_of_the_specification() -> None:
    """aci.md: ``sha512-$(sha512sum reduce-worker.tar | awk '{print $1}')``."""
    data = aci(manifest(), file("x", bytes(100_000)))
    said = subprocess.run([require_command("sha512sum")], input=data, capture_output=True, check=True).stdout
    assert scanned(gzip.compress(data)).image_id == "sha512-" + said.split()[0].decode()


def test_what_follows_the_end_of_the_tar_belongs_to_the_image_id() -> None:
    data = aci(manifest(), file("x")) + bytes(10240)
    assert scanned(data).image_id == image_id(data)


@pytest.mark.parametrize("prefix", ["", "./"])
def test_names_may_begin_with_a_dot(prefix: str) -> None:
    content = json.dumps(manifest()).encode()
    top = [directory("./")] if prefix else []
    data = tar(
        *top, directory(f"{prefix}rootfs"), member(f"{prefix}rootfs/x"), member(f"{prefix}manifest", content)
    )
    assert scanned(data).manifest_bytes == content


def test_a_rootfs_may_be_there_by_its_files_alone_or_be_empty() -> None:
    assert scanned(aci(manifest(), file("x"), root=False))
    assert scanned(aci(manifest()))


def test_hard_links_lead_to_their_file() -> None:
    found = scanned(
        aci(manifest(), file("a"), hard_link("rootfs/b", "rootfs/a"), hard_link("rootfs/c", "rootfs/b"))
    )
    assert found.links == {b"b": b"a", b"c": b"a"}


MANIFEST = json.dumps(manifest()).encode()
ROOT = directory("rootfs")
DOCUMENT = member("manifest", MANIFEST)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no manifest"),
        (b"not a tar" * 100, "tar"),
        (tar(ROOT), "no manifest"),
        (tar(DOCUMENT), "no rootfs"),
        (tar(DOCUMENT, ROOT, member("other")), "'other'"),
        (tar(DOCUMENT, ROOT, member("rootfsx/a")), "'rootfsx/a'"),
        (tar(DOCUMENT, ROOT, member("manifest/a")), "'manifest/a'"),
        (tar(DOCUMENT, DOCUMENT, ROOT), "there are two"),
        (tar(DOCUMENT, ROOT, ROOT), "twice"),
        (tar(DOCUMENT, ROOT, member("rootfs/a"), member("rootfs/a")), "twice"),
        (tar(DOCUMENT, ROOT, member("rootfs/a"), member("rootfs/./a")), "twice"),
        (tar(DOCUMENT, ROOT, member("rootfs/a"), member("rootfs//a")), "twice"),
        (tar(DOCUMENT, ROOT, member("rootfs/../a")), "'..'"),
        (tar(DOCUMENT, ROOT, member("../a")), "'..'"),
        (tar(DOCUMENT, ROOT, member("/rootfs/a")), "absolute"),
        (tar(DOCUMENT, member("rootfs")), "not a directory"),
        (tar(DOCUMENT, symlink("rootfs", "/")), "not a directory"),
        (tar(symlink("manifest", "/etc/passwd"), ROOT), "not a plain file"),
        (tar(directory("manifest"), ROOT), "not a plain file"),
        (tar(ROOT, member("rootfs/a"), hard_link("manifest", "rootfs/a")), "not a plain file"),
        (tar(DOCUMENT, ROOT, hard_link("rootfs/a", "manifest")), "hard link out"),
        (tar(DOCUMENT, ROOT, hard_link("rootfs/a", "rootfs")), "hard link out"),
        (tar(DOCUMENT, ROOT, hard_link("rootfs/a", "/etc/passwd")), "absolute"),
        (tar(DOCUMENT, ROOT, hard_link("rootfs/a", "rootfs/../manifest")), "'..'"),
        (tar(DOCUMENT, ROOT, hard_link("rootfs/a", "rootfs/none")), "not there"),
        (tar(DOCUMENT, ROOT, hard_link("rootfs/a", "rootfs/a")), "not there"),
        (tar(DOCUMENT, ROOT, hard_link("rootfs/a", "rootfs/b"), member("rootfs/b")), "not there"),
        (tar(DOCUMENT, ROOT, device("rootfs/a", 0, 0)), "0/0"),
        (
            tar(DOCUMENT, ROOT, member("rootfs/a", pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"})),
            "overlayfs's own",
        ),
        (tar(member("manifest", b"{}"), ROOT), "manifest is not valid"),
        (tar(member("manifest", b""), ROOT), "manifest is not valid"),
        (tar(member("manifest", b"[" * 100_000), ROOT), "manifest is not valid"),
        (gzip.compress(aci(manifest()))[:-20], "ends too early"),
    ],
)
def test_what_is_no_aci_is_refused_by_name(data: bytes, said: str) -> None:
    with pytest.raises(CorruptData) as caught:
        scanned(data)
    assert caught.value.message.startswith("the image")
    assert said in caught.value.message


@pytest.mark.parametrize("name", ["rootfs/.wh.etc", "rootfs/a/.wh..wh..opq", "rootfs/.wh.x/y"])
def test_names_that_would_mean_deletion_in_a_layer_are_refused(name: str) -> None:
    with pytest.raises(Unsupported, match="deleted"):
        scanned(tar(DOCUMENT, ROOT, member(name)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"acKind": "PodManifest"}, "acKind"),
        ({"acVersion": ""}, "acVersion"),
        ({"name": "Upper"}, "name"),
        ({"name": "a/../b"}, "'..'"),
        ({"name": "a//b"}, "empty"),
        ({"labels": [{"name": "os", "value": "beos"}]}, "os"),
        ({"labels": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}, "duplicate"),
        ({"dependencies": [{"imageName": ""}]}, "dependencies"),
        ({"dependencies": [{"imageName": "a/../b"}]}, "'..'"),
        ({"dependencies": [{"imageName": "a", "imageID": "md5-1"}]}, "imageID"),
        ({"app": {"exec": ["/x"]}}, "app"),
        ({"app": app("/x", workingDirectory="relative")}, "workingDirectory"),
        ({"pathWhitelist": "x"}, "pathWhitelist"),
        ({"annotations": [{"name": "created", "value": "yesterday"}]}, "annotations"),
    ],
)
def test_a_manifest_that_is_not_valid_names_the_field(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(CorruptData, match="manifest is not valid") as caught:
        scanned(aci({**manifest(), **fields}))
    assert said in caught.value.message


def test_a_manifest_of_another_major_version_is_not_supported() -> None:
    with pytest.raises(Unsupported, match=r"version '1\.0\.0'"):
        scanned(aci({**manifest(), "acVersion": "1.0.0"}))


@pytest.mark.parametrize("data", [b"\x8c\x0d\x04", b"\xc3\x0d\x04", b"-----BEGIN PGP MESSAGE-----\n\nhQ"])
def test_an_encrypted_aci_is_told(data: bytes) -> None:
    with pytest.raises(Unsupported, match="encrypted"):
        scanned(data + bytes(1000))


# --- bounds -------------------------------------------------------------------------------------------


def test_a_decompression_bomb_is_refused() -> None:
    data = gzip.compress(aci(manifest(), file("zeros", bytes(8 << 20))))
    with pytest.raises(CorruptData, match="when uncompressed"):
        scanned(data, AciLimits(plain_bytes=1 << 20))


def test_a_huge_manifest_is_refused() -> None:
    data = aci(json.dumps(manifest()).encode() + b" " * (1 << 20))
    with pytest.raises(CorruptData, match="larger than 1000 bytes"):
        scanned(data, AciLimits(manifest_bytes=1000))


def test_too_many_files_are_refused() -> None:
    data = aci(manifest(), *(file(str(number)) for number in range(100)))
    with pytest.raises(CorruptData, match="more than 50 entries"):
        scanned(data, AciLimits(entries=50))


def sparse(real_size: int) -> bytes:
    """An ACI with a sparse file of the PAX 1.0 format: nothing but a hole."""
    info = tarfile.TarInfo("rootfs/GNUSparseFile.0/hole")
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "rootfs/hole",
        "GNU.sparse.realsize": str(real_size),
    }
    body = b"0\n".ljust(512, b"\0")
    info.size = len(body)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(DOCUMENT[0], io.BytesIO(MANIFEST))
        archive.addfile(ROOT[0])
        archive.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


def test_a_hole_of_an_exabyte_is_refused() -> None:
    assert scanned(sparse(1 << 20))
    with pytest.raises(CorruptData, match="with its holes"):
        scanned(sparse(1 << 60))


def test_an_aci_damaged_anywhere_is_another_or_refused_by_name() -> None:
    data = aci(manifest(app=app("/bin/sh")), folder("bin"), file("bin/sh", b"#!"), symlink("rootfs/a", "b"))
    for position in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        try:
            assert scanned(bytes(damaged)).image_id != image_id(data)
        except CarobError as error:
            assert error.message.startswith("the image")  # noqa: PT017 - one of many outcomes


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("sha512-" + "a" * 128, True),
        ("sha512-" + "A" * 128, True),
        ("sha512-" + "a" * 64, True),
        ("sha512-" + "a" * 63, False),
        ("sha512-" + "a" * 32, False),
        ("sha512-" + "a" * 127 + "b", False),
        ("sha512-" + "b" * 64, False),
        ("sha512-a", False),
    ],
)
def test_an_image_id_is_whole_or_the_half_that_rkt_keeps(wanted: str, expected: bool) -> None:
    assert is_image_id("sha512-" + "a" * 128, wanted) is expected

"""Mounts that come to nothing: init lives on in a mutable pod, and so would what it has open of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carob.linux.idmap import Mapping
from carob.supervisor import volumes
from tests.leaks import descriptors
from tests.needs import require_root


@contextmanager
def nothing_stays_open() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() == before


@pytest.fixture
def owners() -> Iterator[Mapping]:
    """Owners that no mount can be shown with: those of the host itself."""
    require_root()
    descriptor = os.open("/proc/self/ns/user", os.O_RDONLY)
    yield Mapping(descriptor, [(0, 0, 1)], [(0, 0, 1)])
    os.close(descriptor)


def test_a_volume_whose_owners_cannot_be_mapped(tmp_path: Path, owners: Mapping) -> None:
    volume = {
        "kind": "host", "source": str(tmp_path), "subpath": "", "recursive": False, "options": [],
        "target": "/volume", "idmap": True,
    }  # fmt: skip
    with nothing_stays_open(), pytest.raises(OSError, match="the volume of app web"):
        volumes.put_volume(-1, "/pod", "web", volume, -1, user_xattrs=False, owners=owners)


def test_a_root_file_system_whose_owners_cannot_be_mapped(tmp_path: Path, owners: Mapping) -> None:
    app = {"rootfs": {"directory": "."}}
    with nothing_stays_open(), pytest.raises(PermissionError):
        volumes.rootfs(str(tmp_path), app, user_xattrs=False, owners=owners)


def test_files_whose_contents_are_cut_short() -> None:
    require_root()
    with nothing_stays_open(), pytest.raises(ValueError, match="shorter"):
        volumes.put_files(-1, {"files": [{"name": "0"}]}, os.memfd_create("contents"))

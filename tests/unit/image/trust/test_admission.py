"""What the policy is asked about images of files: by their path, whatever characters are in it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from carob.errors import Rejected
from carob.image import Store
from carob.image.archives.load import load_images
from carob.image.archives.save import ArchiveFormat
from carob.image.fetch.pull import FetchOptions
from carob.image.trust.admission import Admission
from carob.image.trust.policy import parse_policy
from tests.unit.image.archives import layout_of, member, tar


def options(transport: str, *paths: Path | str) -> FetchOptions:
    """Those under which images from these paths are let in, and no other."""
    scopes = {str(path): [{"type": "insecureAcceptAnything"}] for path in paths}
    policy = {"default": [{"type": "reject"}], "transports": {transport: scopes}}
    return FetchOptions(accept=Admission(parse_policy(json.dumps(policy).encode(), "P")))


@pytest.mark.parametrize("name", ["trusted:evil", "2024-11-25T15:30.tar", "\udcff"])
def test_the_whole_path_is_what_counts(store: Store, tmp_path: Path, name: str) -> None:
    layout = layout_of(tmp_path / name, tar(member("a")), name="app:1")
    other = layout_of(tmp_path / "trusted", tar(member("b")), name="other:1")
    with pytest.raises(Rejected):
        load_images(store, None, str(layout), options("oci", other))
    assert store.list() == []
    if name.isascii():  # what a policy is written in
        load_images(store, None, str(layout), options("oci", layout))
        assert store.resolve("app:1")


def test_archives_with_a_colon_in_their_path(store: Store, tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "layout", tar(member("a")), name="app:1")
    archive = tmp_path / "2024-11-25T15:30.tar"
    subprocess.run(["tar", "-C", str(layout), "--force-local", "-cf", str(archive), "."], check=True)
    load_images(store, None, str(archive), options("oci-archive", archive))
    assert store.resolve("app:1")
    saved = tmp_path / "saved.tar"
    store.save(["app:1"], str(saved), ArchiveFormat.DOCKER)
    shutil.copy(saved, tmp_path / "saved:15:30.tar")
    store.remove("app:1", in_use=())
    load_images(store, None, str(tmp_path / "saved:15:30.tar"), options("docker-archive", ""))

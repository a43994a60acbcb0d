"""Files of a pod: where they are with and without overlay, and what stands in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from carob.errors import CorruptData, InvalidInput, NotFound
from carob.pod import open_pod
from carob.pod.state import Directory
from tests.unit.pod.made import MANIFEST, UUID, make

OVERLAY = {"overlay_D_prepared": b"", "stage1TreeStoreID": b"deps-sha512-abc"}


def test_paths_without_overlay(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN)
    with open_pod(data_dir, UUID) as pod:
        assert not pod.uses_overlay()
        assert pod.stage1_rootfs_path() == f"{path}/stage1/rootfs"
        assert pod.journal_log_path() == f"{path}/stage1/rootfs/var/log/journal"
        with pytest.raises(NotFound):
            pod.get_stage1_tree_store_id()


def test_paths_with_overlay(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN, **OVERLAY)
    with open_pod(data_dir, UUID) as pod:
        assert pod.uses_overlay()
        assert pod.get_stage1_tree_store_id() == "deps-sha512-abc"
        assert pod.stage1_rootfs_path() == f"{path}/overlay/deps-sha512-abc/upper"
        assert pod.journal_log_path() == f"{path}/overlay/deps-sha512-abc/upper/var/log/journal"


def test_an_overlay_without_its_id(data_dir: str) -> None:
    make(data_dir, Directory.RUN, overlay_D_prepared=b"")
    with open_pod(data_dir, UUID) as pod:
        for asked in (pod.stage1_rootfs_path, pod.journal_log_path, lambda: pod.app_exit_code("web")):
            with pytest.raises(NotFound):
                asked()
        assert not pod.is_supervisor_ready()


@pytest.mark.parametrize("tree_id", [b"../../../etc", b"a\0b", b"\xff"])
def test_an_id_that_leads_elsewhere(data_dir: str, tree_id: bytes) -> None:
    make(data_dir, Directory.RUN, overlay_D_prepared=b"", stage1TreeStoreID=tree_id)
    with open_pod(data_dir, UUID) as pod, pytest.raises(CorruptData):
        pod.stage1_rootfs_path()


@pytest.mark.parametrize("overlay", [False, True])
def test_exit_codes(data_dir: str, overlay: bool) -> None:
    rootfs = "overlay__deps_D_sha512_D_abc__upper" if overlay else "stage1__rootfs"
    files = {f"{rootfs}__rkt__status__web": b"3\n", f"{rootfs}__rkt__status__bad": b"?"}
    make(data_dir, Directory.RUN, **files, **(OVERLAY if overlay else {}))
    with open_pod(data_dir, UUID) as pod:
        assert pod.app_exit_code("web") == 3
        with pytest.raises(NotFound):
            pod.app_exit_code("db")
        with pytest.raises(CorruptData):
            pod.app_exit_code("bad")
        for name in ("", ".", "..", "../web", "a\0b"):
            with pytest.raises(InvalidInput):
                pod.app_exit_code(name)


@pytest.mark.parametrize("overlay", [False, True])
def test_readiness(data_dir: str, overlay: bool) -> None:
    path = make(data_dir, Directory.RUN, **(OVERLAY if overlay else {}))
    with open_pod(data_dir, UUID) as pod:
        assert not pod.is_supervisor_ready()
        status = Path(pod.stage1_rootfs_path(), "rkt/supervisor-status")
        status.parent.mkdir(parents=True)
        for target, ready in (("starting", False), ("ready", True), ("ready/", False)):
            status.unlink(missing_ok=True)
            status.symlink_to(target)
            os.rename(status, f"{path}/x")
            os.rename(f"{path}/x", status)
            assert pod.is_supervisor_ready() is (os.readlink(status) == "ready") is ready
        status.unlink()
        status.write_text("ready")
        assert not pod.is_supervisor_ready()


def test_tree_ids_of_apps(data_dir: str) -> None:
    make(data_dir, Directory.RUN, pod=MANIFEST, appsinfo__db__treeStoreID=b"deps-db")
    with open_pod(data_dir, UUID) as pod:
        assert pod.get_app_tree_store_id("db") == "deps-db"
        assert pod.get_app_tree_store_id("web") == ""
        assert pod.get_apps_tree_store_ids() == ["deps-db"]


def test_tree_ids_are_required_with_overlay(data_dir: str) -> None:
    make(data_dir, Directory.RUN, pod=MANIFEST, appsinfo__db__treeStoreID=b"deps-db", **OVERLAY)
    with open_pod(data_dir, UUID) as pod:
        assert pod.get_app_tree_store_id("db") == "deps-db"
        with pytest.raises(NotFound):
            pod.get_app_tree_store_id("web")
        with pytest.raises(NotFound):
            pod.get_apps_tree_store_ids()


def test_reading_goes_on_while_the_pod_moves(data_dir: str) -> None:
    path = make(data_dir, Directory.RUN, pod=MANIFEST, pid=b"12", stage1__rootfs__rkt__status__web=b"7")
    with open_pod(data_dir, UUID) as pod:
        os.makedirs(f"{data_dir}/pods/exited-garbage")
        os.rename(path, f"{data_dir}/pods/exited-garbage/{UUID}")
        assert pod.pod_manifest()[0] == MANIFEST
        assert pod.pid() == 12
        assert pod.app_exit_code("web") == 7

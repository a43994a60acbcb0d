"""Pods that rkt made, and pods that nobody should have made, as rkt's API tells of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from carob.engine.rkt import pods as rkt_pods
from carob.errors import NotFound
from carob.service.v1alpha import api_pb2 as api
from carob.service.v1alpha.messages import pod_message

UUID = "2f6ae4a4-6a4b-4b9e-8d6f-0123456789ab"
IMAGE_ID = "sha512-" + "a" * 64


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    """An ended pod such as rkt's stage1 leaves it."""
    made = tmp_path / "pods/run" / UUID
    for name in ("appsinfo/etcd", "stage1/rootfs/rkt/status"):
        (made / name).mkdir(parents=True)
    document = {
        "acVersion": "0.8.11",
        "acKind": "PodManifest",
        "apps": [
            {
                "name": "etcd",
                "image": {"id": IMAGE_ID},
                "app": {"exec": ["/etcd"], "user": "0", "group": "0"},
                "annotations": [{"name": "of", "value": "app"}],
            }
        ],
        "annotations": [{"name": "of", "value": "pod"}],
    }
    (made / "pod").write_text(json.dumps(document))
    manifest = {"name": "coreos.com/etcd", "labels": [{"name": "version", "value": "v3"}]}
    (made / "appsinfo/etcd/manifest").write_text(json.dumps(manifest))
    (made / "stage1/rootfs/rkt/status/etcd").write_text("7\n")
    (made / "ppid").write_text("4242\n")
    (made / "pod-created").touch()
    (made / "net-info.json").write_text(json.dumps([{"netName": "default", "ip": "172.16.28.2"}]))
    return made


def test_a_pod_of_rkts_is_told_of_by_rkts_rules(pod: Path, tmp_path: Path) -> None:
    (found,) = rkt_pods.each(str(tmp_path))
    message = pod_message(found, manifest=True)
    assert message.state == api.POD_STATE_EXITED
    assert message.pid == 4242
    assert message.manifest == (pod / "pod").read_bytes()
    assert message.started_at == os.stat(pod / "ppid").st_mtime_ns
    assert message.created_at == os.stat(pod / "pod-created").st_mtime_ns
    assert [(one.name, one.ipv4, one.ipv6) for one in message.networks] == [("default", "172.16.28.2", "")]
    assert [(one.Key, one.value) for one in message.annotations] == [("of", "pod")]
    (app,) = message.apps
    assert (app.name, app.state, app.exit_code) == ("etcd", api.APP_STATE_EXITED, 7)
    assert (app.image.id, app.image.name, app.image.version) == (IMAGE_ID, "coreos.com/etcd", "v3")
    assert app.image.base_format.type == api.IMAGE_TYPE_APPC


def test_marked_for_deletion_it_is_garbage_with_a_time(pod: Path, tmp_path: Path) -> None:
    (tmp_path / "pods/exited-garbage").mkdir()
    pod.rename(tmp_path / "pods/exited-garbage" / UUID)
    message = pod_message(rkt_pods.one(str(tmp_path), UUID[:8]), manifest=False)
    assert message.state == api.POD_STATE_GARBAGE
    assert message.gc_marked_at > 0
    assert message.manifest == b""


def test_an_end_that_nobody_saw_is_not_zero(pod: Path, tmp_path: Path) -> None:
    (pod / "stage1/rootfs/rkt/status/etcd").unlink()
    assert rkt_pods.one(str(tmp_path), UUID).apps[0].exit_code == -1


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "no JSON",
        "[]",
        '{"apps": 5, "annotations": {"a": 1}}',
        '{"apps": [null, {"name": 5}, {"name": "../.."}, {"name": "a"}, {"name": "a", "image": 7}]}',
        '{"apps": [{"name": "a", "image": {"id": 5, "labels": "x"}, "annotations": [1, {"name": null}]}]}',
        '{"apps": [{"name": "\\ud800", "image": {"id": "\\udfff"}}], "annotations": [{"name": "\\ud800"}]}',
    ],
)
def test_a_manifest_that_makes_no_sense_does_not_stop_a_list(
    pod: Path, tmp_path: Path, manifest: str
) -> None:
    (pod / "pod").write_text(manifest)
    (pod / "ppid").write_text("9" * 30)
    (pod / "net-info.json").write_text("[5]")
    (found,) = rkt_pods.each(str(tmp_path))
    message = api.Pod.FromString(pod_message(found, manifest=True).SerializeToString())
    assert (message.id, message.pid) == (UUID, -1)


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert list(rkt_pods.each(str(tmp_path))) == []
    with pytest.raises(NotFound):
        rkt_pods.one(str(tmp_path), UUID)

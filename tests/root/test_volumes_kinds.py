"""What apps see of each kind of volume, with and without overlay; one pod shows many of them at once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob import (
    App,
    EmptyVolume,
    Engine,
    Exited,
    File,
    ImageVolume,
    MemoryVolume,
    Mount,
    NamedVolume,
    PodHandle,
)
from carob.errors import InvalidInput, NotFound
from tests.needs import require_command, require_root
from tests.root import host_view
from tests.root.conftest import make_engine

SOON_S = 60
FOREVER = ["sh", "-c", "while :; do sleep 0.1; done"]


def ended_well(pod: PodHandle) -> str:
    """The output of a pod whose apps all ended with 0."""
    end = pod.wait(timeout_s=SOON_S)
    assert set(end.apps.values()) == {Exited(0)}, (end.apps, pod.logs().text())
    return pod.logs().text()


def said(pod: PodHandle, app: str, script: str) -> str:
    """What a shell in the app says, errors included."""
    done = pod.exec(["sh", "-c", f"exec 2>&1; {script}"], app=app)
    return str(done.stdout.decode() if isinstance(done.stdout, bytes) else done.stdout)


@pytest.fixture(scope="module")
def shared_engine(
    tmp_path_factory: pytest.TempPathFactory, rootfs: Path, supervisor_launcher: tuple[str, ...]
) -> Iterator[Engine]:
    require_root()
    require_command("crun")
    made = make_engine(tmp_path_factory.mktemp("volumes") / "data", rootfs, supervisor_launcher)
    try:
        yield made
    finally:
        host_view.end_all(made.data_dir)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the host that apps see."""
    top = tmp_path_factory.mktemp("host")
    top.chmod(0o755)
    (top / "inner").mkdir()
    (top / "inner/file").write_text("of the host\n")
    (top / "link").symlink_to("/etc")
    (top / "program").write_text("#!/bin/sh\necho ran\n")
    (top / "program").chmod(0o755)
    return top


@pytest.fixture(scope="module", params=[True, False], ids=["overlay", "copied"])
def pod(request: pytest.FixtureRequest, shared_engine: Engine, host: Path) -> Iterator[PodHandle]:
    """Two apps with all kinds of volumes."""
    shared = EmptyVolume("shared", mode=0o2775, uid=5, gid=6)
    memory = MemoryVolume("memory", size_bytes=1 << 20, uid=7)
    one = App(
        "busybox",
        FOREVER,
        name="one",
        mounts=[
            Mount(shared, "/shared"),
            Mount(memory, "/memory"),
            Mount(EmptyVolume(), "/own"),
            Mount(MemoryVolume(), "/scratch"),
            Mount(NamedVolume(f"copied-{request.param}".lower()), "/home"),
            Mount(NamedVolume(f"bare-{request.param}".lower(), copy=False), "/etc"),
            Mount(ImageVolume("busybox"), "/image"),
            Mount(ImageVolume("busybox", writable=True), "/writable"),
            Mount(host, "/host", read_only=True, noexec=True),
            Mount(host, "/host-inner", subpath="inner"),
            Mount(host, "/a/b/c/deep"),
            Mount(EmptyVolume(), "/a/b"),
        ],
        files=[
            File("/run/secrets/token", "s3cret\n"),
            File("/opt/app.conf", b"a=b\n", mode=0o444),
            File("/run/secrets/workers", "w", uid=1234, gid=2345, mode=0o440),
        ],
    )
    two = App(
        "busybox",
        FOREVER,
        name="two",
        user="worker",
        mounts=[
            Mount(shared, "/elsewhere", read_only=True),
            Mount(memory, "/part", subpath="a/b"),
            Mount(shared, "/sub", subpath="inner/most"),
            Mount(ImageVolume("busybox"), "/passwd", subpath="etc/passwd"),
        ],
        files=[File("/token", "of the worker")],
    )
    made = shared_engine.run(one, two, overlay=request.param)
    yield made
    made.remove(force=True)


def test_empty_volumes_are_shared_by_name_and_have_mode_and_owner(pod: PodHandle) -> None:
    assert said(pod, "one", "stat -c '%a %u %g' /shared /own") == "2775 5 6\n755 0 0\n"
    assert said(pod, "one", "echo hi > /shared/file; ls /own") == ""
    assert said(pod, "two", "cat /elsewhere/file; echo no > /elsewhere/file").startswith("hi\n")
    assert "Read-only" in said(pod, "two", "touch /elsewhere/new")
    assert said(pod, "one", "ls /shared/inner") == "most\n"


def test_memory_volumes_have_a_size_and_are_shared_by_name(pod: PodHandle) -> None:
    assert (
        said(pod, "one", "stat -f -c %T /memory /scratch; stat -c '%a %u' /memory")
        == "tmpfs\ntmpfs\n1777 7\n"
    )
    assert "No space" in said(pod, "one", "dd if=/dev/zero of=/memory/big bs=64k count=20; rm /memory/big")
    said(pod, "one", "echo deep > /memory/a/b/file")
    assert said(pod, "two", "cat /part/file") == "deep\n"


def test_named_volumes_get_what_the_image_has_once(pod: PodHandle, shared_engine: Engine) -> None:
    assert (
        said(pod, "one", "ls /home; stat -c '%u %g' /home/worker; ls /etc | grep -v resolv")
        == "worker\n1234 2345\n"
    )
    used = {volume.name: volume.used_by for volume in shared_engine.volumes.list()}
    assert [name for name, uuids in used.items() if pod.uuid in uuids] != []
    copied = next(volume for volume in shared_engine.volumes.list() if volume.name.startswith("copied"))
    assert not copied.fresh
    Path(copied.path, "worker").rmdir()  # what is gone stays gone: the copy is made once
    again = shared_engine.run(
        App("busybox", ["ls", "/home"], mounts=[Mount(NamedVolume(copied.name), "/home")])
    )
    assert ended_well(again) == ""
    again.remove()
    Path(copied.path, "worker").mkdir()
    os.chown(Path(copied.path, "worker"), 1234, 2345)


def test_images_are_volumes_and_stay_as_they_are(pod: PodHandle) -> None:
    assert (
        said(pod, "one", "ls /image/bin/busybox; cat /image/etc/passwd | wc -l") == "/image/bin/busybox\n2\n"
    )
    assert "Read-only" in said(pod, "one", "touch /image/new")
    assert (
        said(pod, "one", "echo x > /writable/etc/passwd; cat /writable/etc/passwd; wc -l < /image/etc/passwd")
        == "x\n2\n"
    )
    assert said(pod, "two", "wc -l < /passwd") == "2\n"


def test_host_paths_with_their_options(pod: PodHandle) -> None:
    assert said(pod, "one", "cat /host/inner/file /host-inner/file") == "of the host\nof the host\n"
    assert "Read-only" in said(pod, "one", "touch /host/new")
    assert "Permission denied" in said(pod, "one", "/host/program")
    assert said(pod, "one", "/a/b/c/deep/program; ls /a/b") == "ran\nc\n"
    flags = said(pod, "one", "grep -E ' /(host|own|memory|image) ' /proc/self/mountinfo | cut -d' ' -f5,6")
    by_target = dict(line.split() for line in flags.splitlines())
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(by_target["/host"].split(","))
    assert {"rw", "nosuid", "nodev"} <= set(by_target["/own"].split(","))
    assert "noexec" in by_target["/memory"].split(",")
    assert {"ro", "nosuid", "nodev"} <= set(by_target["/image"].split(","))


def test_files_are_in_memory_and_for_the_app_alone(pod: PodHandle, shared_engine: Engine) -> None:
    assert said(pod, "one", "cat /run/secrets/token /opt/app.conf") == "s3cret\na=b\n"
    assert (
        said(pod, "one", "stat -c '%a %u %g' /run/secrets/* /opt/app.conf")
        == "400 0 0\n440 1234 2345\n444 0 0\n"
    )
    assert said(pod, "two", "cat /token; stat -c '%a %u %g' /token") == "of the worker400 1234 2345\n"
    assert "Read-only" in said(pod, "one", "echo x > /opt/app.conf")
    assert said(pod, "one", "rm /run/secrets/token || echo busy").endswith("busy\n")
    assert said(pod, "one", "stat -f -c %T /run/secrets/token") == "tmpfs\n"
    for path in Path(shared_engine.data_dir).rglob("*"):
        if path.is_file() and not path.is_symlink() and "layers" not in path.parts:
            assert b"s3cret" not in path.read_bytes(), path


def test_the_status_and_the_manifest_tell_of_mounts(pod: PodHandle) -> None:
    status = pod.status()
    mounts = {one["target"]: one for one in status.app("one").mounts}
    assert mounts["/memory"]["kind"] == "memory"
    assert mounts["/memory"]["size_bytes"] == 1 << 20
    assert mounts["/host-inner"]["subpath"] == "inner"
    manifest = json.loads(pod.manifest())
    volumes = {one["name"]: one for one in manifest["volumes"]}
    assert volumes["shared"] == {"name": "shared", "kind": "empty", "mode": "2775", "uid": 5, "gid": 6}
    assert "s3cret" not in str(manifest)


def test_nothing_of_it_is_mounted_in_the_host(pod: PodHandle) -> None:
    assert pod.uuid not in Path("/proc/self/mountinfo").read_text()


def test_what_is_mounted_below_a_read_only_path_is_read_only(shared_engine: Engine, tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path / "below"], check=True)
    try:
        script = (
            "touch /rw/below/ok; touch /ro/below/no || echo refused; touch /flat/below/yes && ls /flat/below"
        )
        mounts = [
            Mount(tmp_path, "/ro", read_only=True),
            Mount(tmp_path, "/rw"),
            Mount(tmp_path, "/flat", recursive=False),
        ]
        pod = shared_engine.run(App("busybox", ["sh", "-c", script], mounts=mounts))
        assert [line for line in ended_well(pod).splitlines() if "Read-only" not in line] == [
            "refused",
            "yes",
        ]
        assert os.listdir(tmp_path / "below") == ["ok"]
        pod.remove()
    finally:
        subprocess.run(["umount", tmp_path / "below"], check=True)


def test_prepared_pods_take_files_from_paths_when_they_are_run(shared_engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "token"
    source.write_text("old")
    app = App("busybox", ["cat", "/run/token"], files=[File("/run/token", source=source)])
    pod = shared_engine.prepare(app)
    source.write_text("new")
    pod.run()
    assert ended_well(pod) == "new"
    pod.remove()
    with pytest.raises(InvalidInput, match="has its content in memory"):
        shared_engine.prepare(App("busybox", ["true"], files=[File("/x", "content")]))


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        (lambda top: Mount(top / "gone", "/x"), "gone for /x is not there"),
        (lambda top: Mount(top, "/x", subpath="gone"), "at gone, is not there"),
        (lambda top: Mount(top, "/x", subpath="link"), "at link, is not there: Too many levels"),
        (lambda top: Mount(top, "/x", subpath="link/passwd"), "is not there: Too many levels"),
    ],
)
def test_sources_that_are_not_there(shared_engine: Engine, host: Path, mount: object, words: str) -> None:
    before = host_view.pod_directories(shared_engine.data_dir)
    with pytest.raises(NotFound, match=words):
        shared_engine.run(App("busybox", ["true"], mounts=[mount(host)]))  # type: ignore[operator]
    assert host_view.pod_directories(shared_engine.data_dir) == before


def test_a_manifest_makes_the_same_mounts_again(shared_engine: Engine, host: Path) -> None:
    from carob.engine.rkt import manifest as pod_manifest

    mounts = [
        Mount(EmptyVolume("shared", mode=0o1777), "/shared"),
        Mount(MemoryVolume(size_bytes=4096), "/memory", noexec=False),
        Mount(NamedVolume("again"), "/named"),
        Mount(ImageVolume("busybox"), "/image", subpath="etc"),
        Mount(host, "/host", read_only=True),
    ]
    app = App("busybox", ["true"], mounts=mounts, files=[File("/f", source=host / "program")])
    pod = shared_engine.prepare(app)
    request = pod_manifest.request(pod.manifest(), shared_engine.images)
    (again,) = request.apps
    assert [repr(mount) for mount in again.mounts] == [repr(mount) for mount in mounts]
    assert [(one.noexec, one.subpath) for one in again.mounts] == [
        (one.noexec, one.subpath) for one in mounts
    ]
    assert again.files[0].source == str(host / "program")
    pod.remove()

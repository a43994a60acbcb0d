"""Named volumes: who uses them, who fills them, who removes them, all at once and killed half-way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carob import App, Engine, Exited, Mount, NamedVolume
from carob.errors import Conflict, CorruptData, InvalidInput, NotFound
from tests.architecture.sources import SRC

SOON_S = 60
FILES = 400
USE = """
import sys
from carob.engine.request.mounts import NamedVolume
from carob.engine.volumes.use import take
data_dir, name, layer = sys.argv[1:]
print("up", flush=True)
sys.stdin.readline()
take(data_dir, NamedVolume(name), "/content", [layer]).close()
"""


def user(volume: str, *args: str) -> App:
    return App("busybox", list(args) or ["true"], mounts=[Mount(NamedVolume(volume), "/v")])


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A layer with many files at ``/content``."""
    content = tmp_path / "layer/content"
    content.mkdir(parents=True)
    for number in range(FILES):
        (content / f"file-{number}").write_bytes(b"%d\n" % number * 500)
    content.chmod(0o751)
    return tmp_path / "layer"


def users_of(data_dir: str, name: str, layer: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", USE, data_dir, name, str(layer)]
    process: subprocess.Popen[bytes] = subprocess.Popen(
        command, env={"PYTHONPATH": str(SRC)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def assert_whole(engine: Engine, name: str) -> None:
    volume = engine.volumes.get(name)
    assert not volume.fresh
    assert len(os.listdir(volume.path)) == FILES
    assert os.stat(volume.path).st_mode & 0o777 == 0o751
    assert Path(volume.path, f"file-{FILES - 1}").read_bytes() == b"%d\n" % (FILES - 1) * 500
    assert sorted(os.listdir(Path(volume.path).parent)) == ["data", "volume.json"]


def test_a_volume_is_kept_for_as_long_as_a_pod_could_need_it(engine: Engine) -> None:
    made = engine.volumes.create("db", labels={"owner": "me"})
    assert (made.name, made.labels, made.fresh, made.used_by) == ("db", {"owner": "me"}, True, ())
    with pytest.raises(Conflict, match="there is a volume db already"):
        engine.volumes.create("db")
    prepared = engine.prepare(user("db"))
    running = engine.run(user("db", "sh", "-c", "echo kept > /v/file; while :; do sleep 0.1; done"))
    ended = engine.run(user("db"))
    ended.wait(timeout_s=SOON_S)
    assert sorted(engine.volumes.get("db").used_by) == sorted([prepared.uuid, running.uuid, ended.uuid])
    for pod in (prepared, running, ended):
        with pytest.raises(Conflict, match=r"the volume db is in use by pods? .*"):
            engine.volumes.remove("db")
        assert engine.volumes.gc(unused=True).removed == []
        pod.remove(force=True)
    assert engine.volumes.get("db").used_by == ()
    again = engine.run(user("db", "cat", "/v/file"))
    assert again.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
    again.remove()
    assert engine.volumes.gc(unused=True, labels={"owner": "you"}).removed == []
    assert engine.volumes.gc(unused=True, labels={"owner": "me"}).removed == ["db"]
    with pytest.raises(NotFound):
        engine.volumes.remove("db")
    assert os.listdir(Path(engine.data_dir, "volumes/.tmp")) == []


def test_images_that_are_volumes_of_a_pod_are_kept(engine: Engine, rootfs: Path) -> None:
    from carob import ImageVolume

    (rootfs.parent / "tool").mkdir(exist_ok=True)
    (rootfs.parent / "tool/file").write_text("of the tool\n")
    engine.images.import_path(rootfs.parent / "tool", name="tool")
    app = App("busybox", ["cat", "/tool/file"], mounts=[Mount(ImageVolume("tool"), "/tool")])
    pod = engine.prepare(app)
    with pytest.raises(Conflict):
        engine.images.remove("tool")
    engine.images.gc()
    pod.run()
    pod.wait(timeout_s=SOON_S)
    assert pod.logs().text() == "of the tool\n"
    pod.remove()
    engine.images.remove("tool")


def test_racing_first_users_make_one_copy(engine: Engine, layer: Path) -> None:
    for round_number in range(3):
        name = f"raced-{round_number}"
        processes = [users_of(engine.data_dir, name, layer) for _ in range(8)]
        for process in processes:
            process.communicate(b"go\n")
        assert {process.returncode for process in processes} == {0}
        assert_whole(engine, name)


def test_a_copy_that_is_killed_is_made_anew(engine: Engine, layer: Path) -> None:
    """Wherever it is killed; and what the next user finds is whole."""
    started = time.monotonic()
    whole = users_of(engine.data_dir, "whole", layer)
    whole.communicate(b"go\n")
    longest_s = time.monotonic() - started
    assert_whole(engine, "whole")
    halves = 0
    for round_number in range(8):
        name = f"killed-{round_number}"
        process = users_of(engine.data_dir, name, layer)
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
        time.sleep(random.random() * longest_s / 2)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        place = Path(engine.data_dir, "volumes", name)
        halves += (place / "filling").exists()
        if place.exists():
            data = os.listdir(place / "data")
            assert len(data) in (0, FILES)
            assert (place / "fresh").exists() or data != []
        users_of(engine.data_dir, name, layer).communicate(b"go\n")
        assert_whole(engine, name)
    assert halves  # or the kills came too early or too late to show anything
    engine.volumes.gc()
    assert os.listdir(Path(engine.data_dir, "volumes/.tmp")) == []


def test_removal_against_use(engine: Engine) -> None:
    """Whoever wins, no pod runs on a volume that is gone."""
    removed = 0

    def run() -> str:
        pod = engine.run(user("raced", "sh", "-c", "echo x > /v/file && cat /v/file"))
        end = pod.wait(timeout_s=SOON_S)
        text = pod.logs().text()
        pod.remove()
        assert end.apps == {"busybox": Exited(0)}
        return text

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run) for _ in range(16)]
        while not all(one.done() for one in runs):
            try:
                engine.volumes.remove("raced")
                removed += 1
            except (Conflict, NotFound):
                time.sleep(0.001)
        assert {one.result() for one in runs} == {"x\n"}
    assert removed


def test_what_is_no_whole_volume(engine: Engine, tmp_path: Path) -> None:
    for name in ("", ".", "..", ".tmp", "a/b", "-a", "a b", "x" * 201):
        with pytest.raises(InvalidInput):
            engine.volumes.create(name)
    engine.volumes.create("good")
    engine.volumes.create("bad")
    Path(engine.data_dir, "volumes/bad/volume.json").write_text("{")
    Path(engine.data_dir, "volumes/stray").mkdir()
    found = {volume.name: volume.problem for volume in engine.volumes.list()}
    assert found["good"] == ""
    assert "volume.json" in found["bad"]
    assert found["stray"] != ""
    with pytest.raises(CorruptData):
        engine.volumes.get("bad")
    engine.volumes.remove("bad")
    # A volume that was being made, by a process that is dead.
    leftover = Path(engine.data_dir, "volumes/.tmp/leftover")
    (leftover / "data").mkdir(parents=True)
    engine.volumes.gc()
    assert not leftover.exists()


def test_what_is_mounted_in_a_volume_is_not_deleted(engine: Engine, tmp_path: Path) -> None:
    volume = engine.volumes.create("mounted")
    Path(volume.path, "disk").mkdir()
    (tmp_path / "precious").write_text("x")
    subprocess.run(["mount", "--bind", tmp_path, Path(volume.path, "disk")], check=True)
    try:
        with pytest.raises(Conflict, match="disk in the volume mounted is a mount point"):
            engine.volumes.remove("mounted")
    finally:
        subprocess.run(["umount", Path(volume.path, "disk")], check=True)
    assert (tmp_path / "precious").read_text() == "x"
    engine.volumes.remove("mounted")

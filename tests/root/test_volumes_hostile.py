"""Images and apps that want volumes to lead elsewhere: none of them gets out of its root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob import App, EmptyVolume, Engine, Exited, File, Mount, NamedVolume
from carob.engine.request.security import Security
from carob.errors import AppStartFailed, CarobError, CorruptData, InvalidInput
from tests.needs import require_command, require_root
from tests.root import host_view

SOON_S = 60


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the host that no volume is for."""
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="module")
def hostile(
    rootfs: Path,
    outside: Path,
    tmp_path_factory: pytest.TempPathFactory,
    supervisor_launcher: tuple[str, ...],
) -> Iterator[Engine]:
    """The image ``hostile``: the usual one with links where volumes are to be mounted."""
    require_root()
    require_command("crun")
    top = tmp_path_factory.mktemp("hostile") / "rootfs"
    shutil.copytree(rootfs, top, symlinks=True)
    for name, target in {
        "root-link": "/",
        "up": "../../../../../../..",
        "abs": str(outside),
        "proc-link": "/proc",
        "sys-link": "/sys",
        "loop": "loop",
        "pod": "/proc/1/root/pod",
        "init": "/proc/self/../1/cwd",
    }.items():
        (top / name).symlink_to(target)
    (top / "file").write_text("a file\n")
    engine = Engine(tmp_path_factory.mktemp("data"), launcher=supervisor_launcher)
    engine.images.import_path(top, name="hostile")
    try:
        yield engine
    finally:
        host_view.end_all(engine.data_dir)


INSIDE = ("/root-link/made/here", "/up/made/here", "/sys-link/kernel")
REFUSED = (
    "/root-link",
    "/up",
    "/proc-link",
    "/proc-link/sys/kernel",
    "/sys-link",
    "/loop/x",
    "/pod/x",
    "/init/x",
)
NO_DIRECTORY = ("/abs/made", "/file", "/file/below")


@pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copied"])
@pytest.mark.parametrize("target", [*INSIDE, *REFUSED, *NO_DIRECTORY])
def test_a_target_leads_nowhere_but_into_the_apps_root(
    hostile: Engine, tmp_path: Path, outside: Path, target: str, overlay: bool
) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/mark").write_text("of the volume\n")
    before = set(Path("/").iterdir())
    app = App("hostile", ["cat", f"{target}/mark"], mounts=[Mount(tmp_path / "volume", target)])
    if target in INSIDE:
        pod = hostile.run(app, overlay=overlay)
        assert pod.wait(timeout_s=SOON_S).apps == {"hostile": Exited(0)}
        assert pod.logs().text() == "of the volume\n"
    else:
        kind = AppStartFailed if target in NO_DIRECTORY else (InvalidInput, CorruptData)
        with pytest.raises(kind):
            hostile.run(app, overlay=overlay)
    assert set(Path("/").iterdir()) == before
    assert os.listdir(outside) == []
    assert os.listdir(tmp_path / "volume") == ["mark"]


@pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copied"])
def test_targets_are_made_also_where_the_root_is_read_only(hostile: Engine, overlay: bool) -> None:
    script = "touch /new/deep/x && cat /new/file && touch /y || echo read-only"
    pod = hostile.run(
        App(
            "hostile",
            ["sh", "-c", script],
            security=Security(read_only_rootfs=True),
            mounts=[Mount(EmptyVolume(), "/new/deep")],
            files=[File("/new/file", "a file\n")],
        ),
        overlay=overlay,
    )
    assert pod.wait(timeout_s=SOON_S).apps == {"hostile": Exited(0)}
    assert [line for line in pod.logs().text().splitlines() if "touch" not in line] == ["a file", "read-only"]


def test_a_subpath_is_never_what_another_app_swaps_for_it(hostile: Engine, tmp_path: Path) -> None:
    """An app with the whole volume replaces a part of it by links while other pods mount that part."""
    volume = hostile.volumes.create("shared")
    part = Path(volume.path, "part")
    (part / "inner").mkdir(parents=True)
    (part / "inner/mark").write_text("of the volume\n")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/mark").write_text("of the host\n")
    swap = f"""
import ctypes, os
os.chdir({str(volume.path)!r})
os.makedirs("other", exist_ok=True)
os.symlink({str(tmp_path)!r}, "link")
os.symlink({str(tmp_path / "secret")!r}, {str(tmp_path / "inner")!r})
rename = ctypes.CDLL(None, use_errno=True).renameat2
print("up", flush=True)
while True:
    rename(-100, b"part", -100, b"link", 2)
"""
    swapper = subprocess.Popen([sys.executable, "-c", swap], stdout=subprocess.PIPE)
    assert swapper.stdout is not None
    try:
        swapper.stdout.readline()
        seen = set()
        for _ in range(40):
            mount = Mount(NamedVolume("shared"), "/part", subpath="part/inner", read_only=True)
            try:
                pod = hostile.run(App("hostile", ["cat", "/part/mark"], mounts=[mount]))
            except CarobError as error:
                seen.add(type(error).__name__)
                continue
            pod.wait(timeout_s=SOON_S)
            seen.add(pod.logs().text())
            pod.remove()
    finally:
        swapper.kill()
        swapper.wait()
        swapper.stdout.close()
    assert "of the volume\n" in seen
    assert seen & {"NotFound", "Unavailable"}
    assert seen <= {"of the volume\n", "NotFound", "Unavailable"}


def test_a_source_that_was_replaced_since_prepare_is_noted(hostile: Engine, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    pod = hostile.prepare(App("hostile", ["true"], mounts=[Mount(source, "/x")]))
    source.rename(tmp_path / "old")
    source.mkdir()
    pod.run()
    pod.wait(timeout_s=SOON_S)
    log = host_view.pod_directory(hostile.data_dir, pod.uuid) / "carob/supervisor.log"
    assert f"{source} is not what it was when the pod was prepared" in log.read_text()


def test_the_whole_host_and_links_up_to_it_are_the_hosts(hostile: Engine, tmp_path: Path) -> None:
    """Init covers the host's root with its own, which must neither show nor be where ``..`` leads."""
    (tmp_path / "file").write_text("of the host\n")
    up = tmp_path / "up"
    up.symlink_to("../" * 40 + str(tmp_path / "file").lstrip("/"))
    mounts = [Mount("/", "/host"), Mount(up, "/linked"), Mount("/", "/part", subpath=str(tmp_path)[1:])]
    script = f"cat /host{tmp_path}/file /linked /part/file; ls -d /host/pod /host/apps 2>/dev/null; ls /host"
    with hostile.run(App("hostile", ["sh", "-c", script], mounts=mounts)) as pod:
        pod.wait(timeout_s=60)
        said = pod.logs().text().splitlines()
    assert said[:3] == ["of the host"] * 3
    assert set(said[3:]) == {name for name in os.listdir("/") if not name.startswith(".")}


def test_a_link_of_proc_is_no_source(hostile: Engine, tmp_path: Path) -> None:
    """In init it would lead to what init has open."""
    link = tmp_path / "link"
    link.symlink_to("/dev/fd/4")
    for source in ("/proc/self/fd/4", "/proc/self/exe", link):
        with pytest.raises(InvalidInput, match="a link of /proc"):
            hostile.run(App("hostile", ["true"], mounts=[Mount(source, "/data")]))

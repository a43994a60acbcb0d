from __future__ import annotations

import os
import socket
import stat
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from carob.errors import CarobError, InvalidInput, NotFound
from carob.image import Store, Trees
from carob.image.archives.export import commit_layers, export_image, export_layers, extract_image
from carob.image.files.copy import copy_tree
from carob.image.files.merged import pack_layers
from tests.needs import require_root
from tests.unit.image.archives import directory, layout_of, member, snapshot, symlink, tar

LAYERS = (
    tar(
        directory("."),
        directory("etc", mode=0o750, mtime=1000),
        member("etc/passwd", b"root", uid=5),
        member("etc/gone", b"x"),
        directory("old"),
        member("old/a", b"a"),
        directory("deep/er/est"),
        member("deep/er/est/file", b"deep"),
        symlink("link", "etc/passwd"),
    ),
    tar(member("etc/.wh.gone"), directory("old"), member("old/.wh..wh..opq"), member("old/b", b"b")),
    tar(
        member("link", b"now a file"),
        member(".wh.deep"),
        directory("new", mode=0o1777),
        member("new/x", b"x"),
    ),
)


@pytest.fixture
def trees(trees: Trees, store: Store, tmp_path: Path) -> Trees:
    store.import_path(str(layout_of(tmp_path / "layout", *LAYERS)), name="app")
    return trees


def test_the_merged_tree_as_a_tar(store: Store, trees: Trees, tmp_path: Path) -> None:
    """What tar makes of it is what overlayfs would show; GNU tar reads it."""
    target = tmp_path / "out.tar"
    export_image(store, trees, "app", str(target))
    (tmp_path / "tar").mkdir()
    subprocess.run(["tar", "-C", str(tmp_path / "tar"), "-xpf", str(target)], check=True)
    trees.ensure(store.resolve("app")).copy_to(str(tmp_path / "copied"))
    assert snapshot(tmp_path / "tar") == snapshot(tmp_path / "copied")
    assert sorted(snapshot(tmp_path / "tar")) == [
        ".",
        "etc",
        "etc/passwd",
        "link",
        "new",
        "new/x",
        "old",
        "old/b",
    ]


def test_into_a_pipe(store: Store, trees: Trees, tmp_path: Path) -> None:
    reading = subprocess.Popen(["tar", "-tf", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert reading.stdin is not None
    export_image(store, trees, "app", reading.stdin.fileno())
    assert "./etc/" not in reading.communicate()[0]
    assert reading.returncode == 0


def test_who_reads_no_more(store: Store, trees: Trees) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with pytest.raises(CarobError):
            export_image(store, trees, "app", writer)
    finally:
        os.close(writer)


def test_a_directory_of_an_image(store: Store, trees: Trees, tmp_path: Path) -> None:
    target = tmp_path / "rootfs"
    extract_image(store, trees, "app", str(target))
    assert (target / "link").read_text() == "now a file"
    with pytest.raises(InvalidInput, match="not empty"):
        extract_image(store, trees, "app", str(target))
    with pytest.raises(NotFound):
        extract_image(store, trees, "nothing", str(tmp_path / "other"))
    (tmp_path / "empty").mkdir()
    extract_image(store, trees, "app", str(tmp_path / "empty"))
    assert snapshot(tmp_path / "empty") == snapshot(target)
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


@pytest.fixture
def upper(tmp_path: Path, trees: Trees) -> Path:
    """What a pod wrote, as overlayfs keeps it."""
    path = tmp_path / "upper"
    (path / "etc").mkdir(parents=True)
    (path / "etc" / "group").write_text("users")
    os.mknod(path / "etc" / "passwd", 0o020000, os.makedev(0, 0))
    (path / "old").mkdir()
    os.setxattr(path / "old", "trusted.overlay.opaque", b"y")
    (path / "run").mkdir()
    (path / "run" / "data").write_bytes(bytes(5000))
    os.link(path / "run" / "data", path / "run" / "twin")
    os.mkfifo(path / "run" / "fifo", 0o600)
    os.mknod(path / "run" / "null", 0o020666, os.makedev(1, 3))
    os.setxattr(path / "run" / "data", "user.note", b"\x00\xff")
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path / "run")
        try:
            made.bind("socket")
        finally:
            os.chdir("/")
    return path


def test_a_pods_file_system(store: Store, trees: Trees, upper: Path, tmp_path: Path) -> None:
    tree = trees.ensure(store.resolve("app"))
    export_layers([str(upper), *tree.lower_dirs], str(tmp_path / "pod.tar"))
    with tarfile.open(tmp_path / "pod.tar") as archive:
        members = {info.name: info for info in archive.getmembers()}
    assert sorted(members) == [
        *(".", "etc", "etc/group", "link", "new", "new/x", "old"),
        *("run", "run/data", "run/fifo", "run/null", "run/twin"),
    ]
    assert members["run/twin"].islnk()
    assert members["run/twin"].linkname == "run/data"
    assert (members["run/null"].devmajor, members["run/null"].devminor) == (1, 3)
    assert members["run/fifo"].isfifo()
    assert members["etc"].mode == (upper / "etc").stat().st_mode & 0o7777
    assert "SCHILY.xattr.trusted.overlay.opaque" not in members["old"].pax_headers
    assert "SCHILY.xattr.user.note" in members["run/data"].pax_headers


def test_an_image_of_a_pods_file_system(store: Store, trees: Trees, upper: Path, tmp_path: Path) -> None:
    tree = trees.ensure(store.resolve("app"))
    layers = [str(upper), *tree.lower_dirs]
    image = commit_layers(store, layers, name="snapshot", config={"Cmd": ["/bin/x"]})
    assert store.resolve("snapshot:latest").config["config"]["Cmd"] == ["/bin/x"]
    assert len(image.layers) == 1
    made = trees.ensure(image)
    export_layers(layers, str(tmp_path / "before.tar"))
    export_layers(made.lower_dirs, str(tmp_path / "after.tar"))
    assert (tmp_path / "before.tar").read_bytes() == (tmp_path / "after.tar").read_bytes()
    (upper / "run" / ".wh.x").touch()
    with pytest.raises(InvalidInput, match=r"\.wh\.x"):
        commit_layers(store, layers, name="other")
    assert [summary.names for summary in store.list()] == [("app:latest",), ("snapshot:latest",)]


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    """It shrinks, or goes, between two pieces of the archive."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "a").write_bytes(bytes(range(256)) * 20)
    (top / "b").write_bytes(b"b")
    (top / "c").mkdir()
    written: list[bytes] = []

    os.utime(top / "a", (0, 0))  # a plain header, without records of extended times before it

    def write(data: bytes) -> None:
        written.append(data)
        if data.startswith(b"a\0"):  # the header is written, the data is not
            os.truncate(top / "a", 100)
            os.unlink(top / "b")
            os.rmdir(top / "c")

    pack_layers([str(top)], write)
    (tmp_path / "out.tar").write_bytes(b"".join(written))
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert archive.getnames() == [".", "a"]
        content = archive.extractfile("a")
        assert content is not None
        assert content.read() == (bytes(range(256)) * 20)[:100] + bytes(5020)


def test_nothing_at_all(tmp_path: Path) -> None:
    export_layers([], str(tmp_path / "out.tar"))
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert archive.getnames() == []


def test_a_pipe_or_a_device_is_written_to(tmp_path: Path) -> None:
    """What is there stays, and what a link leads to is replaced, not the link."""
    require_root()
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("content")
    fifo, null, link, plain = (tmp_path / name for name in ("fifo", "null", "link", "plain"))
    os.mkfifo(fifo)
    os.mknod(null, 0o20666, os.makedev(1, 3))
    link.symlink_to("plain")
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        export_layers([str(tree)], str(fifo))
        assert b"content" in reader.communicate()[0]
    export_layers([str(tree)], str(null))
    assert stat.S_ISFIFO(fifo.lstat().st_mode)
    assert stat.S_ISCHR(null.lstat().st_mode)
    for _ in range(2):  # not there yet, and there
        export_layers([str(tree)], str(link))
        assert link.is_symlink()
        assert b"content" in plain.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["fifo", "link", "null", "plain", "tree"]


def test_a_file_without_a_name_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        export_layers([str(tmp_path)], f"/proc/self/fd/{file.fileno()}")
        assert b"content" in file.read()
    assert os.listdir(tmp_path) == ["file"]


def test_a_layer_that_is_not_there_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir()
    layers = [str(tmp_path / "layer"), str(tmp_path / "nothing")]
    before = os.listdir("/proc/self/fd")
    with pytest.raises(CarobError, match="No such file"):
        export_layers(layers, str(tmp_path / "out"))
    with pytest.raises(CarobError, match="No such file"):
        copy_tree(layers, str(tmp_path / "copy"))
    assert os.listdir("/proc/self/fd") == before

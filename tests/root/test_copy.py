"""Files into and out of apps: what is kept, where it goes, and that no app leads a copy astray."""

from __future__ import annotations

import io
import os
import socket
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob import App, Engine, Mount, PodHandle
from carob.errors import Conflict, InvalidInput, NotFound
from tests.root import host_view


@pytest.fixture
def pod(engine: Engine) -> Iterator[PodHandle]:
    with engine.run(App("busybox", ["sleep", "1000"])) as running:
        yield running


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with one of each kind of file."""
    top = tmp_path / "tree"
    (top / "inner").mkdir(parents=True)
    (top / "inner" / "file").write_bytes(b"content")
    (top / "inner" / "file").chmod(0o640)
    os.chown(top / "inner" / "file", 1234, 2345)
    os.setxattr(top / "inner" / "file", "user.colour", b"blue")
    os.utime(top / "inner" / "file", ns=(1_000_000_001, 1_000_000_001))
    os.link(top / "inner" / "file", top / "second name")
    (top / "link").symlink_to("/etc/passwd")
    os.mkfifo(top / "fifo")
    with (top / "sparse").open("wb") as sparse:
        sparse.seek(1 << 22)
        sparse.write(b"end")
    (top / "inner").chmod(0o511)
    os.utime(top / "inner", ns=(2_000_000_002, 2_000_000_002))
    return top


def described(top: Path) -> dict[str, object]:
    """All that a copy keeps of a tree."""
    found: dict[str, object] = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        what: list[object] = [stat.filemode(status.st_mode), status.st_uid, status.st_gid]
        if path.is_symlink():
            what.append(os.readlink(path))
        else:
            what += [status.st_mtime_ns, status.st_nlink if path.is_file() else 0]
            what.append({name: os.getxattr(path, name) for name in os.listxattr(path)})
        if path.is_file() and not path.is_symlink():
            what.append(path.read_bytes())
        found[str(path.relative_to(top))] = what
    return found


def said(pod: PodHandle, script: str) -> str:
    text: str = pod.exec(["sh", "-c", script], check=True, text=True).stdout
    return text


def test_a_tree_goes_in_and_comes_out_as_it_was(pod: PodHandle, tree: Path, tmp_path: Path) -> None:
    pod.copy_in(tree, "/tmp")
    assert said(pod, "cd /tmp/tree/inner && cat file && stat -c '%a %u %g' file") == "content640 1234 2345\n"
    pod.copy_out("/tmp/tree", tmp_path / "back")
    assert described(tmp_path / "back") == described(tree)
    assert (tmp_path / "back" / "sparse").stat().st_blocks < 1000  # its hole is one again


def test_names_are_those_of_cp(pod: PodHandle, tree: Path, tmp_path: Path) -> None:
    pod.copy_in(tree / "inner" / "file", "/tmp/other")
    pod.copy_in(tree / "inner" / "file", "/tmp")
    pod.copy_in(f"{tree}/inner/.", "/root")
    pod.copy_in(tree / "inner", "/made")
    assert said(pod, "ls /tmp/other /tmp/file /root/file /made/file").split() == [
        "/made/file", "/root/file", "/tmp/file", "/tmp/other",
    ]  # fmt: skip
    (tmp_path / "there").mkdir()
    pod.copy_out("/made", tmp_path / "there")
    pod.copy_out("/made/.", tmp_path / "there")
    assert {path.name for path in (tmp_path / "there").rglob("*")} == {"made", "file"}
    pod.copy_out("/bin/ls", tmp_path / "as-link")
    pod.copy_out("/bin/ls", tmp_path / "followed", follow_links=True)
    assert os.readlink(tmp_path / "as-link") == "busybox"
    assert (tmp_path / "followed").stat().st_size > 100_000


def test_tars_go_both_ways(pod: PodHandle, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("deep/in/file")
        member.size, member.mode, member.uid = 3, 0o4755, 7
        archive.addfile(member, io.BytesIO(b"abc"))
    (tmp_path / "in.tar").write_bytes(packed.getvalue())
    with (tmp_path / "in.tar").open("rb") as source:
        pod.copy_in(source.fileno(), "/root")
    assert said(pod, "stat -c '%a %u' /root/deep/in/file") == "4755 7\n"
    with (tmp_path / "out.tar").open("wb") as target:
        pod.copy_out("/root/deep", target.fileno())
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert archive.getnames() == ["deep", "deep/in", "deep/in/file"]
        assert archive.getmember("deep/in/file").mode == 0o4755  # a tar says all; it is not the host's yet


def test_what_would_be_a_right_on_the_host_stays_behind(pod: PodHandle, tmp_path: Path) -> None:
    said(pod, "mkdir /root/x && cp /bin/busybox /root/x/suid && chmod 6755 /root/x/suid")
    said(pod, "mkfifo /root/x/fifo; nc -l -U /root/x/socket </dev/null >/dev/null 2>&1 & sleep 0.1")
    pod.copy_out("/root/x", tmp_path / "x")
    pod.copy_out("/dev", tmp_path / "dev")
    assert stat.S_IMODE((tmp_path / "x" / "suid").stat().st_mode) == 0o755
    kinds = {
        stat.S_IFMT(path.lstat().st_mode) for top in ("x", "dev") for path in (tmp_path / top).rglob("*")
    }
    assert not kinds & {stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK}


def test_links_of_an_app_lead_nowhere_out_of_it(pod: PodHandle, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("host's")
    (tmp_path / "gift").write_text("gift")
    up = "../" * 40
    said(pod, f"ln -s {secret} /abs; ln -s {up}{str(secret)[1:]} /rel; ln -s /proc/self/root /magic")
    said(pod, f"ln -s {secret}/key /file; mkdir /dir; ln -s {secret} /dir/tree")
    for path in ("/abs/key", "/rel/key", f"{secret}/key"):
        with pytest.raises(NotFound):
            pod.copy_out(path, tmp_path / "stolen")
    with pytest.raises(NotFound):
        pod.copy_out("/file", tmp_path / "stolen", follow_links=True)
    for path in ("/abs", "/abs/new", "/rel/", "/magic/tmp/x", f"{secret}/new"):
        with pytest.raises((NotFound, InvalidInput, Conflict)):
            pod.copy_in(tmp_path / "gift", f"{path}/gift")
    (tmp_path / "dir" / "tree").mkdir(parents=True)
    (tmp_path / "dir" / "tree" / "key").write_text("gift")
    with pytest.raises(Conflict, match="no directory"):
        pod.copy_in(tmp_path / "dir", "/")  # /dir/tree is a link there
    pod.copy_in(tmp_path / "gift", "/file")  # takes the link's place
    assert said(pod, "cat /file") == "gift"
    assert (secret / "key").read_text() == "host's"
    assert [one.name for one in secret.iterdir()] == ["key"]
    assert not (tmp_path / "stolen").exists()


def test_a_tar_that_would_lead_out_of_its_directory_is_refused(pod: PodHandle, tmp_path: Path) -> None:
    for name, kind, target in (("../out", tarfile.REGTYPE, ""), ("l", tarfile.LNKTYPE, "../etc/passwd")):
        with tarfile.open(tmp_path / "bad.tar", "w") as archive:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
        with (tmp_path / "bad.tar").open("rb") as source, pytest.raises(Exception, match=r"\.\."):
            pod.copy_in(source.fileno(), "/root")
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        member = tarfile.TarInfo("there")
        member.type, member.linkname = tarfile.SYMTYPE, "/tmp"
        archive.addfile(member)
        archive.addfile(tarfile.TarInfo("there/file"))
    with (tmp_path / "link.tar").open("rb") as source, pytest.raises(Conflict):
        pod.copy_in(source.fileno(), "/root")
    assert said(pod, "ls /tmp") == ""


def test_an_app_that_changes_its_files_all_the_time_does_no_harm(pod: PodHandle, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "f").write_text("host's")
    (tmp_path / "gift").write_text("gift")
    script = (
        f"mkdir -p /a/b /c && cd /a && while :; do mv b x; ln -s {secret} b; echo a >x/f; rm b; mv x b; done"
    )
    with pod.start(["sh", "-c", script]) as busy:
        for number in range(60):
            try:
                pod.copy_out("/a", tmp_path / f"out-{number}")
                pod.copy_in(tmp_path / "gift", "/a/b/f")
            except (NotFound, Conflict, InvalidInput):
                continue
        busy.kill()
        busy.wait()
    assert (secret / "f").read_text() == "host's"
    copied = [path.read_text() for path in tmp_path.rglob("out-*/**/f") if not path.is_symlink()]
    assert copied
    assert set(copied) <= {"a\n", "gift", ""}


def test_volumes_are_what_the_app_sees_while_it_runs(engine: Engine, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "here").write_text("data")
    app = App("busybox", ["sleep", "1000"], mounts=[Mount(str(volume), "/data")])
    with engine.run(app) as pod:
        pod.copy_out("/data/here", tmp_path / "out")
        assert (tmp_path / "out").read_text() == "data"
        pod.copy_in(tmp_path / "out", "/data/new")
        assert (volume / "new").read_text() == "data"


def test_prepared_and_ended_pods_can_be_copied_from(engine: Engine, tmp_path: Path) -> None:
    script = "echo made >/new; rm /etc/group; echo more >>/etc/passwd"
    pod = engine.prepare(App("busybox", ["sh", "-c", script]))
    pod.copy_out("/etc", tmp_path / "before")
    pod.run()
    pod.wait()
    pod.copy_out("/etc", tmp_path / "after")
    pod.copy_out("/new", tmp_path)
    assert (tmp_path / "before" / "group").exists()
    assert not (tmp_path / "after" / "group").exists()
    assert (tmp_path / "after" / "passwd").read_text().endswith("more\n")
    assert (tmp_path / "new").read_text() == "made\n"
    with pytest.raises(Conflict, match="does not run"):
        pod.copy_in(tmp_path / "new", "/new")
    before = Path("/proc/1/mountinfo").read_text()
    assert "carob" not in before or str(engine.data_dir) not in before
    pod.remove()


def test_a_paused_or_finished_app_of_a_running_pod_can_be_copied_from(engine: Engine, tmp_path: Path) -> None:
    apps = [
        App("busybox", ["sh", "-c", "echo x >/x"], name="short"),
        App("busybox", ["sleep", "1000"], name="long"),
    ]
    with engine.run(*apps) as pod:
        host_view.eventually("it has ended", lambda: pod.status().app("short").state == "ended")
        pod.copy_out("/x", tmp_path / "x", app="short")
        assert (tmp_path / "x").read_text() == "x\n"
        with pytest.raises(InvalidInput, match="several apps"):
            pod.copy_out("/x", tmp_path / "x")


def test_wrong_calls_are_told_apart(pod: PodHandle, tree: Path, tmp_path: Path) -> None:
    for source, path, error in (
        (tree / "nothing", "/tmp", NotFound),
        (tree, "/no/such", NotFound),
        (tree, "/etc/passwd", InvalidInput),
        (tree / "inner" / "file", "/etc/passwd/", InvalidInput),
        (tree, "relative", InvalidInput),
    ):
        with pytest.raises(error):
            pod.copy_in(source, path)
    with pytest.raises(NotFound):
        pod.copy_out("/nothing", tmp_path / "x")
    with pytest.raises(InvalidInput):
        pod.copy_out("/etc/", tree / "inner" / "file")
    pod.copy_in(tree / "inner" / "file", "/bin/../etc/../tmp/.")
    said(pod, "mkdir -p /tmp/d/file")
    with pytest.raises(Conflict, match="is there and a directory"):
        pod.copy_in(tree / "inner" / "file", "/tmp/d")
    assert said(pod, "ls -a /tmp/d").split() == [".", "..", "file"]  # nothing half-made is left


def test_what_others_use_by_its_name_is_not_replaced(pod: PodHandle, tree: Path, tmp_path: Path) -> None:
    """Copying to ``/dev/null`` must not make it a file: here a node of the test's own."""
    device, fifo, listening = tmp_path / "null", tmp_path / "fifo", tmp_path / "socket"
    os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(listening))
    for path in (device, fifo, listening):
        before = path.lstat()
        with pytest.raises(Conflict, match="device, a fifo or a socket"):
            pod.copy_out("/bin/busybox", path)
        assert path.lstat() == before
    with pytest.raises(Conflict, match="device, a fifo or a socket"):
        pod.copy_in(tree / "inner" / "file", "/dev/null")
    assert said(pod, "echo x >/dev/null; ls -l /dev/null").startswith("c")


def test_what_is_no_plain_file_is_read_or_refused(pod: PodHandle, tmp_path: Path) -> None:
    pod.copy_out("/proc/1/mountinfo", tmp_path / "view")
    assert b"/proc" in (tmp_path / "view").read_bytes()
    pod.copy_out("/sys/kernel/mm/transparent_hugepage/enabled", tmp_path / "sys")
    assert b"never" in (tmp_path / "sys").read_bytes()
    with pytest.raises(InvalidInput, match="is a device"):
        pod.copy_out("/dev/zero", tmp_path / "zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(tmp_path / "listening"))
    with pytest.raises(InvalidInput, match="is a socket"):
        pod.copy_in(tmp_path / "listening", "/tmp/x")

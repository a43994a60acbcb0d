from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from carob import App, Engine, Exited, Mount, PodHandle
from carob.errors import AppStartFailed
from tests.needs import require_command
from tests.root import host_view

SOON_S = 60
FOREVER = ["sleep", "1000"]


def init_of(engine: Engine, pod: PodHandle) -> int:
    return host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "init")


def seen(pod: PodHandle, script: str, app: str | None = None) -> list[str]:
    """The lines that a script writes as one more process in the app."""
    done = pod.exec(["sh", "-c", script], app=app, text=True)
    return (done.stdout + done.stderr).splitlines()


def both(engine: Engine, script: str, **options: object) -> tuple[list[str], list[str]]:
    """The lines that a script writes as an app, and as an execution in an app."""
    app = App("busybox", ["sh", "-c", f"{script}; exec sleep 1000"], **options)  # type: ignore[arg-type]
    with engine.run(app) as pod:
        in_exec = seen(pod, script)
        host_view.eventually("the app has said as much", lambda: len(lines(pod)) >= len(in_exec))
        return lines(pod), in_exec


def lines(pod: PodHandle) -> list[str]:
    return pod.logs().text().splitlines()


# --- devices ---------------------------------------------------------------------------------------


def test_devices_are_the_default_ones_and_the_apps_own(engine: Engine) -> None:
    with engine.run(App("busybox", FOREVER)) as pod:
        names = set(seen(pod, "cd /dev; find . -type c -o -type b"))
        assert names <= {
            f"./{name}"
            for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "console", "pts/ptmx")
        }
        assert seen(
            pod, "head -c 3 /dev/zero | wc -c; echo x >/dev/null; head -c 2 /dev/urandom | wc -c"
        ) == [
            "3",
            "2",
        ]


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize("user", ["root", "worker"])
def test_standard_input_is_no_way_to_the_hosts_devices(engine: Engine, runtime: str, user: str) -> None:
    require_command(runtime)

    def state() -> list[tuple[int, int, int]]:
        found = [os.stat(f"/dev/{name}") for name in ("null", "zero", "tty")]
        return [(one.st_mode, one.st_uid, one.st_gid) for one in found]

    before = state()
    script = (
        "for f in /proc/self/fd/0 /proc/1/fd/0 /dev/null /dev/zero /dev/tty; do"
        " chmod 600 $f; chown 1234 $f; done 2>/dev/null; sleep 0.1; exec sleep 1000"
    )
    try:
        with engine.run(App("busybox", ["sh", "-c", script], user=user), runtime=runtime) as pod:
            pod.exec(["sh", "-c", script.replace("exec sleep 1000", "true")])
            with pod.start(["sh", "-c", script.replace("exec sleep 1000", "true")], tty=True) as execution:
                execution.wait()
            assert state() == before
    finally:
        for name, (mode, uid, gid) in zip(("null", "zero", "tty"), before, strict=True):
            os.chown(f"/dev/{name}", uid, gid)
            os.chmod(f"/dev/{name}", stat.S_IMODE(mode))


# --- processes and descriptors --------------------------------------------------------------------


def test_an_app_sees_its_own_processes_alone(engine: Engine) -> None:
    with engine.run(App("busybox", FOREVER, name="one"), App("busybox", FOREVER, name="two")) as pod:
        assert seen(pod, "cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l; kill -0 1 && echo 1 is mine", "one")[
            ::2
        ] == [
            "sleep",
            "1 is mine",
        ]
        commands = seen(pod, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", "one")
        assert "carob" not in "".join(commands)


def test_init_cannot_be_reached_from_an_app(engine: Engine) -> None:
    with engine.run(App("busybox", FOREVER)) as pod:
        init = init_of(engine, pod)
        # Neither by the host's number nor as a parent.
        said = seen(pod, f"cat /proc/1/status | grep PPid; kill -9 {init}; ls /proc/{init}/root")
        assert said[0] == "PPid:\t0"
        assert host_view.is_alive(init)
        assert str(pod.status().state) == "running"


def test_signals_from_inside_do_not_end_the_pod(engine: Engine) -> None:
    with engine.run(App("busybox", ["sh", "-c", "trap : TERM INT HUP; while :; do sleep 1; done"])) as pod:
        seen(pod, "for s in INT TERM HUP QUIT USR1 STOP KILL; do kill -$s 1; kill -$s -1; done")
        assert str(pod.status().state) == "running"


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_no_descriptor_but_the_standard_ones(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    inherited = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        script = "for fd in /proc/self/fd/*; do echo $fd $(readlink $fd); done; ls -l /proc/1/fd | wc -l"
        app = App("busybox", ["sh", "-c", f"{script}; exec sleep 1000"])
        with engine.run(app, runtime=runtime) as pod:
            host_view.eventually("the app has said so", lambda: len(lines(pod)) > 4)
            for said in (lines(pod), seen(pod, script)):
                names = [line.split(" ")[0].removeprefix("/proc/self/fd/") for line in said[:-1]]
                assert set(names) <= {"0", "1", "2", "3"}, said  # 3 is what lists the directory
                assert {line.split(" ")[1].split(":")[0] for line in said[:3]} <= {"/dev/null", "pipe"}
            # The host's view: what the first process and its parent, init, hold.
            init = init_of(engine, pod)
            (first,) = [
                pid for pid in host_view.descendants(init) if host_view.read(f"/proc/{pid}/comm") == "sleep\n"
            ]
            assert sorted(os.listdir(f"/proc/{first}/fd")) == ["0", "1", "2"]
    finally:
        os.close(inherited)


def test_the_supervisor_holds_nothing_of_the_callers(engine: Engine, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    held = os.open(secret, os.O_RDONLY)
    os.set_inheritable(held, True)
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        with engine.run(App("busybox", FOREVER)) as pod:
            directory = host_view.pod_directory(engine.data_dir, pod.uuid)
            pipe = os.readlink(f"/proc/self/fd/{writing}")
            for which in ("init", "monitor"):
                pid = host_view.keeper(directory, which)
                links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
                assert str(secret) not in links
                assert pipe not in links
                assert len(links) < 20, links
                assert os.readlink(f"/proc/{pid}/cwd") == "/"
                environment = host_view.read(f"/proc/{pid}/environ").split("\0")
                assert [entry for entry in environment if entry] == ["LC_ALL=C.UTF-8"]
                assert os.getsid(pid) != os.getsid(0)
            monitor = host_view.keeper(directory, "monitor")
            assert host_view.fields(monitor)[1] != str(os.getpid())
    finally:
        for descriptor in (held, reading, writing):
            os.close(descriptor)


# --- mounts ---------------------------------------------------------------------------------------


def test_the_host_shows_no_mount_of_a_running_pod(engine: Engine, tmp_path: Path) -> None:
    findmnt = require_command("findmnt")

    def mounts() -> list[str]:
        out = subprocess.run(
            [findmnt, "-rno", "TARGET,SOURCE,FSTYPE"], capture_output=True, text=True, check=True
        )
        return [line for line in out.stdout.splitlines() if "carob" in line or str(tmp_path) in line]

    (tmp_path / "volume").mkdir()
    assert mounts() == []
    volume = Mount(tmp_path / "volume", "/volume")
    with (
        engine.run(App("busybox", FOREVER, mounts=[volume])) as pod,
        engine.run(App("busybox", FOREVER), overlay=False) as other,
    ):
        assert seen(pod, "echo x >/volume/file") == []
        assert mounts() == []
        assert host_view.host_mounts(pod.uuid) == []
        assert host_view.host_mounts(other.uuid) == []
    assert mounts() == []


def test_inits_root_holds_what_is_needed_and_nothing_else_of_the_host(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    with engine.run(App("busybox", FOREVER, mounts=[Mount(tmp_path / "volume", "/volume")])) as pod:
        init = init_of(engine, pod)
        table = [line.split(" ") for line in host_view.read(f"/proc/{init}/mountinfo").splitlines()]
        points = {fields[4] for fields in table}
        allowed = {"/", "/pod", "/proc", "/sys", "/sys/fs/cgroup", "/apps/busybox", "/volumes/busybox-0"}
        allowed |= {
            f"/{name}" for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu")
        }
        allowed |= {
            "/etc/ld.so.cache",
            *(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")),
        }
        assert {point for point in points if not point.startswith("/sys/fs/cgroup/")} <= allowed
        root = f"/proc/{init}/root"
        assert set(os.listdir(root)) <= {
            "apps",
            "bin",
            "dev",
            "etc",
            "gnu",
            "lib",
            "lib32",
            "lib64",
            "libx32",
            "nix",
            "pod",
            "proc",
            "run",
            "sbin",
            "sys",
            "tmp",
            "usr",
            "volumes",
        }
        assert set(os.listdir(f"{root}/etc")) <= {"ld.so.cache"}
        programs = [fields for fields in table if fields[4] == "/usr" or fields[4].startswith("/dev/")]
        assert programs
        assert all("ro" in fields[5].split(",") for fields in programs)
        # None passes mounts on to the host, or takes them from it.
        assert all("shared:" not in " ".join(fields[6:]) for fields in table)
        assert all("master:" not in " ".join(fields[6:]) for fields in table)


def test_an_app_sees_no_mount_and_no_path_of_the_host(engine: Engine, tmp_path: Path) -> None:
    with engine.run(App("busybox", FOREVER, name="one"), App("busybox", FOREVER, name="two")) as pod:
        table = seen(pod, "cat /proc/self/mountinfo", "one")
        points = {line.split(" ")[4] for line in table}
        assert {point for point in points if not point.startswith(("/dev", "/proc", "/sys"))} == {"/"}
        assert str(tmp_path) not in "".join(table)
        assert seen(pod, "ls /", "one") == ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp"]


def test_mounts_made_on_the_host_later_do_not_come_in_and_are_not_held(
    engine: Engine, tmp_path: Path
) -> None:
    source, late = tmp_path / "source", tmp_path / "source/late"
    late.mkdir(parents=True)
    with engine.run(App("busybox", FOREVER, mounts=[Mount(source, "/volume")])) as pod:
        subprocess.run(["mount", "-t", "tmpfs", "carob-test", late], check=True)
        try:
            (late / "file").touch()
            assert seen(pod, "ls /volume/late") == []
        finally:
            subprocess.run(["umount", late], check=True)  # not lazily: EBUSY if a pod held it


def test_links_in_an_image_do_not_lead_out_of_it(engine: Engine, tmp_path: Path, rootfs: Path) -> None:
    import shutil

    victim = tmp_path / "victim"
    victim.mkdir()
    evil = tmp_path / "evil"
    shutil.copytree(rootfs, evil, symlinks=True)
    for name in ("volume", "home/worker/volume"):
        (evil / name).symlink_to(victim)
    (evil / "up").symlink_to("../../../../../../../../" + str(victim))
    engine.images.import_path(evil, name="evil")
    (tmp_path / "volume").mkdir()
    for target in ("/volume", "/up", "/home/worker/volume"):
        for inside in ("", "/inside"):
            app = App(
                "evil",
                ["sh", "-c", f"echo x >{target}{inside}/file"],
                mounts=[Mount(tmp_path / "volume", target + inside)],
                workdir=target,
            )
            try:
                with engine.run(app) as pod:
                    pod.wait(timeout_s=SOON_S)
            except AppStartFailed:
                pass  # the runtime may refuse such a target: it must not follow it
            assert list(victim.iterdir()) == []


def test_links_planted_by_an_app_do_not_lead_its_pods_removal_astray(engine: Engine, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("x")
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/kept").write_text("x")
    script = (
        f"ln -s {victim} /tmp/link; mkdir -p /a/b; ln -s {victim}/precious /a/b/link;"
        f" rm -rf /etc; ln -s {victim} /etc;"
        " d=/tmp; i=0; while [ $i -lt 60 ]; do d=$d/deeper; mkdir $d; i=$((i+1)); done; mkfifo /tmp/fifo"
    )
    for overlay in (True, False):
        app = App("busybox", ["sh", "-c", script], mounts=[Mount(tmp_path / "volume", "/volume")])
        pod = engine.run(app, overlay=overlay)
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
        pod.remove()
        host_view.nothing_left(engine.data_dir, pod.uuid)
    assert (victim / "precious").read_text() == "x"
    assert (tmp_path / "volume/kept").read_text() == "x"


def test_data_directory_shared_with_an_app_changes_no_file_outside(engine: Engine, tmp_path: Path) -> None:
    """An app that can write into its own pod's directory cannot make the supervisor follow its links."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    data = Mount(engine.data_dir, "/data")
    script = (
        "cd /data/pods/run/*/carob && for f in exit.json end.json exit.json.tmp end.json.tmp; do"
        f" ln -sf {victim} apps/busybox/$f; ln -sf {victim} $f; done; exit 3"
    )
    with engine.run(App("busybox", ["sh", "-c", script], mounts=[data])) as pod:
        pod.wait(timeout_s=SOON_S)
    assert victim.read_text() == "precious"
    assert not victim.is_symlink()


# --- groups ---------------------------------------------------------------------------------------


def test_every_process_of_a_pod_is_in_its_groups(engine: Engine) -> None:
    with engine.run(App("busybox", FOREVER, name="one"), App("busybox", FOREVER, name="two")) as pod:
        with pod.start(FOREVER, app="one") as _:
            init = init_of(engine, pod)
            family = host_view.descendants(init)
            assert len(family) == 4
            for pid in family:
                assert f"/carob/{pod.uuid}" in host_view.read(f"/proc/{pid}/cgroup")
        monitor = host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "monitor")
        groups = {line.split(":", 2)[2] for line in host_view.read(f"/proc/{monitor}/cgroup").splitlines()}
        assert groups == {"/"}

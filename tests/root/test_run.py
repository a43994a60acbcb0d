from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from carob import App, Engine, Exited, Mount, OutOfMemory, Signaled, Unknown
from carob.errors import AppStartFailed, Conflict, InvalidInput, NotFound, TimedOut
from tests.leaks import descriptors
from tests.needs import require_command
from tests.root import host_view

SOON_S = 60


def sh(script: str, **options: object) -> App:
    return App("busybox", ["sh", "-c", script], **options)  # type: ignore[arg-type]


def output(engine: Engine, app: App, **options: object) -> str:
    """What an app writes that ends with 0."""
    with engine.run(app, **options) as pod:  # type: ignore[arg-type]
        end = pod.wait(timeout_s=SOON_S)
        text = pod.logs().text()
        assert [*end.apps.values()] == [Exited(0)], text
        return text


# --- ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 3, 125, 126, 127, 128, 137, 255])
def test_exit_code_of_an_app_is_its_end(engine: Engine, code: int) -> None:
    with engine.run(sh(f"exit {code}")) as pod:
        end = pod.wait(timeout_s=SOON_S)
        assert end.apps == {"busybox": Exited(code)}
        assert end.outcome == ("app failed" if code else "finished")


def test_signal_that_killed_an_app_is_its_end(engine: Engine) -> None:
    # As PID 1 of its namespace the app cannot kill itself.
    with engine.run(sh("sleep 1000 & wait")) as pod:
        pod.signal(9)
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Signaled(9)}


def test_several_apps_end_with_their_own_codes(engine: Engine) -> None:
    names = ["one", "two", "three"]
    with engine.run(*(sh(f"echo {name}", name=name) for name in names)) as pod:
        end = pod.wait(timeout_s=SOON_S)
        assert end.apps == dict.fromkeys(names, Exited(0))
        assert [*end.apps] == names
        assert end.outcome == "finished"
        assert [pod.logs(name).text() for name in names] == ["one\n", "two\n", "three\n"]


def test_one_failing_app_ends_the_pod_and_status_says_which_and_how(engine: Engine) -> None:
    forever = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"
    with engine.run(
        sh(forever, name="web"), sh("sleep 0.1; exit 7", name="worker"), sh(forever, name="db")
    ) as pod:
        end = pod.wait(timeout_s=SOON_S)
        assert end.apps == {"web": Exited(0), "worker": Exited(7), "db": Exited(0)}
        status = pod.status()
        assert status.outcome == "app failed"
        assert "worker" in status.reason
        assert str(status.state) == "exited"
        assert status.app("worker").end == Exited(7)
        assert {app.state for app in status.apps} == {"ended"}


def test_app_that_ended_well_does_not_end_the_others(engine: Engine) -> None:
    with engine.run(sh("exit 0", name="quick"), App("busybox", ["sleep", "1000"], name="slow")) as pod:
        host_view.eventually("quick ends", lambda: pod.status().app("quick").end == Exited(0))
        assert pod.status().app("slow").end is None
        assert str(pod.status().state) == "running"


def test_app_killed_for_want_of_memory_is_recorded_so(engine: Engine) -> None:
    eat = "read go </tmp/go; exec tail /dev/zero"
    with engine.run(sh(f"mkfifo /tmp/go; echo made; {eat}")) as pod:
        host_view.eventually("the fifo is made", lambda: pod.logs().text() == "made\n")
        limit_memory(pod.uuid, "busybox", 16 << 20)
        pod.exec(["sh", "-c", "echo >/tmp/go"], check=True)
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": OutOfMemory()}
        record = json.loads((directory(engine, pod.uuid) / "carob/apps/busybox/exit.json").read_text())
        assert record["end"] == "out-of-memory"
        assert rkt_status(engine, pod.uuid, "busybox") == "137"


def limit_memory(uuid: str, app: str, size_bytes: int) -> None:
    try:
        path = host_view.cgroup_file(uuid, app, "memory.max", "memory")
    except FileNotFoundError:
        path = host_view.cgroup_file(uuid, app, "memory.limit_in_bytes", "memory")
    path.write_text(str(size_bytes))


def test_kill_by_hand_is_no_want_of_memory(engine: Engine) -> None:
    with engine.run(App("busybox", ["sleep", "1000"])) as pod:
        limit_memory(pod.uuid, "busybox", 64 << 20)
        pod.signal(9)
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Signaled(9)}


def test_daemonized_grandchildren_do_not_outlive_their_app(engine: Engine) -> None:
    script = "setsid sh -c 'setsid sleep 1000 & exec sleep 1000' & sleep 0.2; exit 5"
    with engine.run(sh(script, name="parent"), name="daemons", grace_s=0) as pod:
        inside = host_view.Inside(running_init(engine, pod.uuid))
        assert pod.wait(timeout_s=SOON_S).apps == {"parent": Exited(5)}
        assert inside.survivors() == []


def test_app_that_closes_its_outputs_runs_on(engine: Engine) -> None:
    with engine.run(sh("echo before; exec >&- 2>&-; sleep 0.3; exit 6")) as pod:
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(6)}
        assert pod.logs().text() == "before\n"


# --- apps that cannot be started ------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize(
    ("argv", "code"),
    [(["no-such-program"], 127), (["/no/such/program"], 127), (["/bin/plain"], 126), (["/tmp"], 126)],
)
def test_program_that_cannot_be_run(engine: Engine, runtime: str, argv: list[str], code: int) -> None:
    require_command(runtime)
    with pytest.raises(AppStartFailed) as caught:
        engine.run(App("busybox", argv, name="bad"), runtime=runtime)
    assert caught.value.code == code
    assert caught.value.app == "bad"
    (status,) = engine.list()
    handle = engine.get(status.uuid)
    handle.wait(timeout_s=SOON_S)
    assert handle.status().outcome == "failed to start"
    assert str(handle.status().state) == "exited"
    assert handle.logs().text() == ""
    handle.remove()
    host_view.nothing_left(engine.data_dir, status.uuid)


def test_app_that_cannot_be_started_ends_its_pod(engine: Engine) -> None:
    with pytest.raises(AppStartFailed) as caught:
        engine.run(App("busybox", ["sleep", "1000"], name="good"), App("busybox", ["nope"], name="bad"))
    assert caught.value.app == "bad"
    (status,) = engine.list()
    assert caught.value.uuid == status.uuid
    end = engine.get(caught.value.uuid).wait(timeout_s=SOON_S)
    assert end.outcome == "failed to start"
    assert "bad" in end.reason
    assert isinstance(end.apps["bad"], Unknown)
    assert "never started" in end.apps["bad"].reason
    assert "nope" in end.apps["bad"].reason


def test_wrong_requests_leave_nothing(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="nobody"):
        engine.run(App("busybox", ["true"], user="nobody"))
    with pytest.raises(NotFound):
        engine.run(App("no-such-image", ["true"]))
    with pytest.raises(InvalidInput, match="named"):
        engine.run(App("busybox", ["true"], name="a"), App("busybox", ["true"], name="a"))
    assert host_view.pod_directories(engine.data_dir) == []
    host_view.eventually("no supervisor is left", lambda: not host_view.supervisors_of(engine.data_dir))


def test_mount_of_what_is_not_there_fails_with_its_name_at_once(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for missing in ("not-there", "file/below", "loop"):
        app = sh("true", name="web", mounts=[Mount(tmp_path, "/fine"), Mount(tmp_path / missing, "/mnt")])
        for begin in (engine.run, engine.prepare):
            with pytest.raises(NotFound) as caught:
                begin(app)
            assert f"app web: the volume {tmp_path}/{missing} for /mnt is not there" in caught.value.message
    assert host_view.pod_directories(engine.data_dir) == []


def test_errors_tell_their_pod_once_there_is_one(engine: Engine) -> None:
    with pytest.raises(NotFound) as before:
        engine.run(App("no-such-image", ["true"]))
    assert before.value.uuid == ""
    with pytest.raises(TimedOut) as late:
        engine.run(sh("sleep 1000"), timeout_s=0)
    engine.handle(late.value.uuid).remove(force=True)  # it may have come up since
    assert engine.list() == []
    pod = engine.run(sh("sleep 1000"))
    with pytest.raises(NotFound) as caught:
        pod.logs("nobody")
    assert caught.value.uuid == pod.uuid
    with pytest.raises(Conflict) as running:
        pod.remove()
    assert running.value.uuid == pod.uuid
    pod.remove(force=True)
    with pytest.raises(NotFound) as gone:
        pod.status()
    assert gone.value.uuid == pod.uuid


def test_a_running_app_tells_when_it_was_started(engine: Engine) -> None:
    with engine.run(sh("exit 0", name="short"), sh("sleep 1000", name="long")) as pod:
        status = pod.status()
        app = status.app("long")
        assert (app.state, app.finished_ns) == ("running", None)
        assert status.created_ns is not None
        assert app.started_ns is not None
        assert status.created_ns < app.started_ns < time.time_ns()
        pod.kill()
        assert pod.status().app("long").started_ns == app.started_ns, "init could not record it any more"


# --- what an app finds ----------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_environment_user_and_working_directory(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    app = sh(
        "echo $GREETING; echo $HOME; id -u; id -g; id -G; pwd",
        env={"GREETING": "good day = ü"},
        user="worker",
        workdir="/home/worker",
    )
    assert output(engine, app, runtime=runtime).splitlines() == [
        "good day = ü",
        "/home/worker",
        "1234",
        "2345",
        "2345 3456",
        "/home/worker",
    ]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("root", "0 0"),
        ("0", "0 0"),
        ("worker", "1234 2345"),
        ("1234", "1234 2345"),
        ("worker:drivers", "1234 3456"),
        ("77", "77 0"),
        ("77:88", "77 88"),
        ("worker:99", "1234 99"),
    ],
)
def test_users_by_name_and_number(engine: Engine, user: str, expected: str) -> None:
    assert output(engine, sh("echo $(id -u) $(id -g)", user=user)) == expected + "\n"


def test_nothing_of_the_callers_environment(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "secret")
    with engine.run(App("busybox", ["env"], env={"A": "1"}), hostname="box") as pod:
        pod.wait(timeout_s=SOON_S)
        lines = dict(line.split("=", 1) for line in pod.logs().text().splitlines())
    assert lines == {
        "A": "1",
        "HOME": "/root",
        "HOSTNAME": "box",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }


def test_exec_replaces_the_entry_point(engine: Engine) -> None:
    assert output(engine, App("busybox", ["a", "b c"], exec="/bin/echo")) == "a b c\n"


def test_arguments_arrive_unchanged(engine: Engine) -> None:
    words = ["", " ", "a\nb", "$HOME", "'\"", "ü\u2028", "-x", "\\n"]
    printed = output(engine, App("busybox", ["printf", "[%s]", *words]))
    assert printed == "".join(f"[{word}]" for word in words)


def test_mounts_read_only_and_read_write(engine: Engine, tmp_path: Path) -> None:
    shared, given, file = tmp_path / "shared", tmp_path / "given", tmp_path / "file"
    shared.mkdir()
    given.mkdir()
    (given / "greeting").write_text("hello\n")
    file.write_text("one file\n")
    app = sh(
        "cat /given/greeting /etc/file; echo written >/shared/out;"
        " touch /given/x 2>/dev/null && exit 9; echo x 2>/dev/null >/etc/file && exit 8; exit 0",
        mounts=[
            Mount(shared, "/shared"),
            Mount(given, "/given", read_only=True),
            Mount(file, "/etc/file", read_only=True),
        ],
    )
    assert output(engine, app) == "hello\none file\n"
    assert (shared / "out").read_text() == "written\n"
    assert sorted(path.name for path in given.iterdir()) == ["greeting"]
    assert file.read_text() == "one file\n"


def test_two_apps_share_a_mount(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    mount = Mount(tmp_path / "shared", "/shared")
    with engine.run(
        sh("mkfifo /shared/p 2>/dev/null; echo from one >/shared/p", name="one", mounts=[mount]),
        sh("mkfifo /shared/p 2>/dev/null; cat /shared/p", name="two", mounts=[mount]),
    ) as pod:
        pod.wait(timeout_s=SOON_S)
        assert pod.logs("two").text() == "from one\n"


def test_apps_share_host_name_ipc_and_network_but_no_processes(engine: Engine) -> None:
    script = "for kind in uts ipc net pid; do readlink /proc/self/ns/$kind; done; hostname"
    with engine.run(sh(script, name="one"), sh(script, name="two"), hostname="box") as pod:
        pod.wait(timeout_s=SOON_S)
        one, two = (pod.logs(name).text().splitlines() for name in ("one", "two"))
    assert one[:3] == two[:3]
    assert one[3] != two[3]
    assert one[4] == two[4] == "box"
    mine = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("uts", "ipc", "net", "pid")]
    assert not set(mine) & {*one, *two}


def test_host_name_is_by_default_the_pods(engine: Engine) -> None:
    with engine.run(App("busybox", ["hostname"])) as pod:
        pod.wait(timeout_s=SOON_S)
        assert pod.logs().text() == f"carob-{pod.uuid}\n"


def test_network_none_has_a_loopback_of_its_own(engine: Engine) -> None:
    listing = "cut -d: -f1 /proc/net/dev | tail -n +3; ip addr show lo | grep -q 'inet 127.0.0.1' && echo up"
    text = output(engine, sh(f"{listing}; readlink /proc/self/ns/net"))
    words = text.split()
    assert words[:2] == ["lo", "up"]
    assert words[2] != os.readlink("/proc/self/ns/net")


def test_network_host_is_the_hosts(engine: Engine) -> None:
    assert output(engine, sh("readlink /proc/self/ns/net"), network="host").strip() == os.readlink(
        "/proc/self/ns/net"
    )


def test_names_of_apps(engine: Engine) -> None:
    true = App("busybox", ["true"])
    with engine.run(true, true, App("busybox", ["true"], name="x")) as pod:
        assert list(pod.wait(timeout_s=SOON_S).apps) == ["busybox", "busybox-2", "x"]


@pytest.mark.parametrize("name", ["init", "runtime", "exec-1", "logs", "a", "x" * 200])
def test_no_app_name_is_in_the_way_of_anything(engine: Engine, name: str) -> None:
    with engine.run(sh("echo $0 is here; read line </dev/zero; exec sleep 1000", name=name)) as pod:
        assert pod.exec(["echo", "in"], text=True).stdout == "in\n"
        pod.stop(grace_s=0)
        assert pod.status().apps[0].name == name
        assert [app.end for app in pod.status().apps] == [Signaled(9)]


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_both_runtimes_run_several_apps(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    with engine.run(
        sh("echo a; exit 0", name="a"), sh("echo b; sleep 0.2; exit 2", name="b"), runtime=runtime
    ) as pod:
        assert pod.wait(timeout_s=SOON_S).apps == {"a": Exited(0), "b": Exited(2)}
        assert [pod.logs(name).text() for name in "ab"] == ["a\n", "b\n"]


# --- where it runs --------------------------------------------------------------------------------


def test_without_overlay_the_image_is_copied(engine: Engine, rootfs: Path) -> None:
    with engine.run(sh("echo changed >/etc/passwd; cat /etc/passwd"), overlay=False) as pod:
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
        assert pod.logs().text() == "changed\n"
        top = directory(engine, pod.uuid)
        assert not (top / "overlay-prepared").exists()
        assert (top / "stage1/rootfs/rkt/status/busybox").read_text() == "0"
        assert (top / "stage1/rootfs/opt/stage2/busybox/rootfs/etc/passwd").read_text() == "changed\n"
    assert output(engine, App("busybox", ["cat", "/etc/passwd"])) == (rootfs / "etc/passwd").read_text()


def test_overlay_keeps_the_image_as_it_is(engine: Engine, rootfs: Path) -> None:
    output(engine, sh("rm -rf /etc /home; echo x >/bin/new"))
    assert output(engine, sh("cat /etc/passwd; ls /bin/new 2>&1 || true")).startswith("root:x:0:0")


def test_data_directory_with_a_path_of_200_characters(
    engine: Engine, tmp_path: Path, rootfs: Path, supervisor_launcher: tuple[str, ...]
) -> None:
    deep = tmp_path / "deep" / ("d" * (200 - len(str(tmp_path)) - 6))
    long = Engine(deep, launcher=supervisor_launcher)
    assert len(long.data_dir) == 200
    long.images.import_path(rootfs, name="busybox")
    try:
        with long.run(App("busybox", ["sleep", "1000"])) as pod:
            assert pod.exec(["echo", "in"], text=True).stdout == "in\n"
            pod.stop(grace_s=0)
            assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Signaled(9)}
    finally:
        host_view.end_all(long.data_dir)


def test_data_directory_with_every_kind_of_character(
    engine: Engine, tmp_path: Path, rootfs: Path, supervisor_launcher: tuple[str, ...]
) -> None:
    odd = Engine(tmp_path / "a b,c:d=e\\f'g\"h%iü\n", launcher=supervisor_launcher)
    odd.images.import_path(rootfs, name="busybox")
    try:
        assert output(odd, App("busybox", ["echo", "hi"])) == "hi\n"
    finally:
        host_view.end_all(odd.data_dir)


def test_caller_without_standard_streams(engine: Engine) -> None:
    script = (
        "import os, sys; [os.close(n) for n in (0, 1, 2)]\n"
        "from carob import App, Engine\n"
        "pod = Engine(sys.argv[1]).run(App('busybox', ['sh', '-c', 'echo hi; exit 3']))\n"
        "end = pod.wait(timeout_s=60)\n"
        "right = repr(end.apps) == \"{'busybox': Exited(code=3)}\" and pod.logs().text() == 'hi\\n'\n"
        "os._exit(0 if right else 1)\n"
    )
    child = subprocess.run([sys.executable, "-c", script, engine.data_dir], env=python_path(), check=False)
    assert child.returncode == 0


def python_path() -> dict[str, str]:
    import carob

    return {**os.environ, "PYTHONPATH": str(Path(carob.__file__).parent.parent)}


def test_caller_is_left_as_it_was(engine: Engine) -> None:
    import signal

    def mine() -> object:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        handlers = [signal.getsignal(number) for number in range(1, 32)]
        old = os.umask(0o077)
        os.umask(old)
        return os.getcwd(), mask, handlers, old, dict(os.environ), os.getsid(0), os.getpgid(0)

    before = mine()
    with engine.run(sh("exit 1")) as pod:
        pod.wait(timeout_s=SOON_S)
        assert mine() == before


def test_odd_state_of_the_caller_does_not_reach_the_pod(engine: Engine, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from carob import App, Engine\n"
        "os.umask(0o777 - 0o700); os.chdir(sys.argv[2])\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))\n"
        "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 13, 15, 17, 34, 64)]\n"
        "secret = os.open('/etc/hostname', os.O_RDONLY); os.set_inheritable(secret, True)\n"
        "script = 'umask; pwd; grep -E \"Sig(Blk|Ign)\" /proc/self/status; ls /proc/self/fd'\n"
        "app = App('busybox', ['sh', '-c', script])\n"
        "with Engine(sys.argv[1]).run(app) as pod:\n"
        "    pod.wait(timeout_s=60); print(pod.logs().text(), end='')\n"
    )
    argv = [sys.executable, "-c", script, engine.data_dir, str(tmp_path)]
    said = subprocess.run(argv, env=python_path(), capture_output=True, text=True, check=True).stdout
    none = "0" * 16
    umask, directory, _, blocked, _, ignored, *descriptors = said.split()
    assert (umask, directory, blocked) == ("0022", "/", none)
    # Signals 32 and 33 are the C library's own: posix_spawn(3) sets them to ignored.
    assert int(ignored, 16) & ~0x180000000 == 0
    assert descriptors == ["0", "1", "2", "3"]  # 3 is the listing's own


# --- what is written ------------------------------------------------------------------------------


def directory(engine: Engine, uuid: str) -> Path:
    return host_view.pod_directory(engine.data_dir, uuid)


def running_init(engine: Engine, uuid: str) -> int:
    return host_view.keeper(directory(engine, uuid), "init")


def rkt_status(engine: Engine, uuid: str, app: str) -> str:
    (path,) = directory(engine, uuid).glob(f"overlay/*/upper/rkt/status/{app}")
    return path.read_text()


def test_logs_are_exactly_what_was_written(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    data = bytes(range(256)) * 2000 + b"\r\n\n\n" + os.urandom(300_000) + b"no newline at the end"
    (tmp_path / "in/data").write_bytes(data)
    app = sh("cat /in/data; echo oops >&2", mounts=[Mount(tmp_path / "in", "/in", read_only=True)])
    with engine.run(app) as pod:
        pod.wait(timeout_s=SOON_S)
        assert pod.logs().bytes(["stdout"]) == data
        assert pod.logs().bytes(["stderr"]) == b"oops\n"


def test_logs_hold_nothing_open(engine: Engine) -> None:
    with engine.run(sh("echo one; echo two")) as pod:
        pod.wait(timeout_s=SOON_S)
        before = descriptors()
        logs = pod.logs()
        assert descriptors() == before
        assert logs.text() == "one\ntwo\n"
        entries = logs.entries()
        assert next(entries).data == b"one"
        entries.close()  # type: ignore[attr-defined]
        assert descriptors() == before
        with pytest.raises(NotFound):
            pod.logs("nobody")
    with pytest.raises(NotFound, match="there is no pod"):
        logs.text()


def test_log_file_is_in_the_format_that_kubernetes_reads(engine: Engine) -> None:
    with engine.run(sh("echo out; echo err >&2; printf end")) as pod:
        pod.wait(timeout_s=SOON_S)
        raw = (directory(engine, pod.uuid) / "carob/logs/busybox.log").read_text()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d)"
    lines = sorted(line.split(" ", 1) for line in raw.splitlines())
    assert all(re.fullmatch(stamp, time) for time, _ in lines), raw
    assert {rest for _, rest in lines} == {"stdout F out", "stderr F err", "stdout P end"}


def test_much_output_of_several_apps_at_once(engine: Engine) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo $0 line $i; i=$((i+1)); done"
    apps = [App("busybox", ["sh", "-c", script, name], name=name) for name in ("a", "b", "c")]
    with engine.run(*apps) as pod:
        pod.wait(timeout_s=SOON_S)
        for name in ("a", "b", "c"):
            assert pod.logs(name).text() == "".join(f"{name} line {i}\n" for i in range(3000))


def test_records_of_the_end(engine: Engine) -> None:
    with engine.run(sh("sleep 0.05; exit 0", name="good"), sh("sleep 0.2; exit 3", name="bad")) as pod:
        pod.wait(timeout_s=SOON_S)
        assert [rkt_status(engine, pod.uuid, name) for name in ("good", "bad")] == ["0", "3"]
        top = directory(engine, pod.uuid)
        for name, code in (("good", 0), ("bad", 3)):
            record = json.loads((top / f"carob/apps/{name}/exit.json").read_text())
            assert {key: record[key] for key in ("version", "app", "end", "code")} == {
                "version": 1,
                "app": name,
                "end": "exited",
                "code": code,
            }
            assert record["started_ns"] < record["finished_ns"]
        (rkt,) = top.glob("overlay/*/upper/rkt")
        assert os.readlink(rkt / "supervisor-status") == "ready"
        assert (top / "pid").read_text().isdigit()
        assert (top / "ppid").read_text().isdigit()
        status = pod.status()
        assert status.ready
        assert status.created_ns is not None
        assert status.ended_ns is not None
        good = status.app("good")
        assert good.started_ns is not None
        assert good.finished_ns is not None
        assert status.created_ns < good.started_ns < good.finished_ns <= status.ended_ns


def test_record_of_the_end_outlives_the_pod(engine: Engine) -> None:
    pod = engine.run(sh("exit 4", name="bad"), sh("sleep 0.5", name="good"), name="memorable")
    end = pod.wait(timeout_s=SOON_S)
    pod.remove()
    host_view.nothing_left(engine.data_dir, pod.uuid)
    assert engine.list() == []
    buried = engine.get(pod.uuid).wait(timeout_s=SOON_S)
    assert (buried.apps, buried.outcome) == (end.apps, end.outcome)
    assert str(buried.state) == "gone"
    with pytest.raises(NotFound):
        pod.status()


def test_nothing_is_left_of_a_removed_pod(engine: Engine) -> None:
    pod = engine.run(App("busybox", ["sleep", "1000"]), App("busybox", ["sleep", "1000"]))
    inside = host_view.Inside(running_init(engine, pod.uuid))
    assert host_view.cgroups(pod.uuid) != []
    pod.remove(force=True)
    host_view.nothing_left(engine.data_dir, pod.uuid, inside)
    host_view.eventually("the monitor ends", lambda: not host_view.supervisors_of(engine.data_dir))


def test_prepared_pod_runs_later(engine: Engine) -> None:
    pod = engine.prepare(sh("echo hi; exit 3"), name="later")
    assert str(pod.status().state) == "prepared"
    assert [app.state for app in pod.status().apps] == ["created"]
    pod.run()
    assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(3)}
    assert pod.status().name == "later"


def test_program_that_the_apps_user_may_not_run(engine: Engine, rootfs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    with pytest.raises(AppStartFailed) as caught:
        engine.run(App("busybox", ["/secret/x"], user="worker", mounts=[Mount(secret, "/secret")]))
    assert caught.value.code in (126, 127)

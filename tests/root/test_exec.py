from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import socket
import stat
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carob import App, Engine, Exited, PodHandle, Signaled
from carob.errors import CommandFailed, Conflict, InvalidInput, NotFound, TimedOut, Unavailable
from tests.needs import require_command
from tests.root import host_view

SOON_S = 60
FOREVER = ["sleep", "1000"]


@pytest.fixture
def pod(engine: Engine) -> Iterator[PodHandle]:
    with engine.run(App("busybox", FOREVER)) as running:
        yield running


def init_of(engine: Engine, pod: PodHandle) -> int:
    return host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "init")


# --- as a user sees it ----------------------------------------------------------------------------


def test_streams_and_codes(pod: PodHandle) -> None:
    done = pod.exec(["sh", "-c", "cat; echo oops >&2; exit 4"], input="in", text=True)
    assert (done.stdout, done.stderr, done.returncode, done.end) == ("in", "oops\n", 4, Exited(4))
    assert pod.exec(["true"]).stdout == b""
    assert pod.exec(["cat"], input=b"\0\xff").stdout == b"\0\xff"
    assert pod.exec(["cat"]).returncode == 0, "without input there is an end of file at once"


def test_much_of_it_both_ways(pod: PodHandle) -> None:
    data = os.urandom(1 << 20) * 3
    assert pod.exec(["cat"], input=data, timeout_s=SOON_S).stdout == data


def test_process_that_reads_nothing_of_its_input(pod: PodHandle) -> None:
    assert pod.exec(["true"], input=b"x" * (1 << 20), timeout_s=SOON_S).returncode == 0


def test_background_process_does_not_keep_an_exec_waiting(pod: PodHandle) -> None:
    done = pod.exec(["sh", "-c", "sleep 1000 & echo started"], text=True, timeout_s=SOON_S)
    assert (done.stdout, done.returncode) == ("started\n", 0)


def test_death_by_signal(pod: PodHandle) -> None:
    done = pod.exec(["sh", "-c", "kill -KILL $$"])
    assert (done.end, done.returncode) == (Signaled(9), 137)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_what_cannot_be_started(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    with engine.run(App("busybox", FOREVER), runtime=runtime) as pod:
        for argv, code in ((["no-such"], 127), (["/no/such"], 127), (["/bin/plain"], 126)):
            with pytest.raises(CommandFailed) as caught:
                pod.exec(argv)
            assert caught.value.status == code
            assert caught.value.argv == tuple(argv)
        assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"


def test_check(pod: PodHandle) -> None:
    with pytest.raises(CommandFailed) as caught:
        pod.exec(["sh", "-c", "echo why >&2; exit 9"], check=True)
    assert (caught.value.status, caught.value.stderr) == (9, "why\n")


def test_environment_directory_and_user(pod: PodHandle) -> None:
    done = pod.exec(
        ["sh", "-c", "echo $A $HOME; pwd; id -u; id -g"], env={"A": "b"}, cwd="/tmp", user=(7, 8), text=True
    )
    assert done.stdout.split() == ["b", "/root", "/tmp", "7", "8"]


def test_timeout_kills_the_process_and_leaves_the_pod(pod: PodHandle) -> None:
    with pytest.raises(TimedOut):
        pod.exec(["sleep", "4711"], timeout_s=0.05)
    seen = ["sh", "-c", "cat /proc/[0-9]*/cmdline"]
    host_view.eventually("it is gone", lambda: b"4711" not in pod.exec(seen).stdout)
    assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"


def test_process_is_signaled(pod: PodHandle) -> None:
    with pod.start(["sleep", "1000"]) as running:
        running.signal(15)
        assert running.wait() == Signaled(15)
        running.kill()  # it has ended: fine


def test_wrong_requests(pod: PodHandle) -> None:
    with pytest.raises(InvalidInput):
        pod.exec([])
    with pytest.raises(InvalidInput):
        pod.exec("echo hi")  # a string is no sequence of words
    with pytest.raises(NotFound):
        pod.exec(["true"], app="nobody")


WRONG: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "an empty word": ([""], {}, "argv is empty, or its first word is"),
    "a number": (["sleep", 5], {}, "an argument is a string, not int 5"),
    "a NUL": (["echo", "a\0b"], {}, "an argument has a NUL in it"),
    "no Unicode": (["echo", "\udcff"], {}, "an argument is not Unicode"),
    "much": (["echo", *["x" * 1000] * 200], {}, "the command and its variables are too long"),
    "much of odd letters": (["echo", "ä" * 30_000], {}, "the command and its variables are too long"),
    "a list for env": (["true"], {"env": ["a=b"]}, "env is a mapping, not list"),
    "a number in env": (["true"], {"env": {"A": 5}}, "A in env is a string, not int 5"),
    "= in a variable": (["true"], {"env": {"A=": "b"}}, "not an environment variable"),
    "a relative directory": (["true"], {"cwd": "tmp"}, "a working directory is an absolute path, not 'tmp'"),
    "a name for a user": (["true"], {"user": "root"}, "user is a pair of numbers, user and group"),
    "names for a user": (["true"], {"user": ("root", "root")}, "a user's number is a whole number"),
    "a user that is none": (["true"], {"user": (2**32 - 1, 0)}, "a user's number is from 0 to 4294967294"),
    "an app that is none": (["true"], {"app": 5}, "an app's name is a string, not int 5"),
    "a number for input": (["true"], {"input": 5}, "input is bytes or a string, not int 5"),
    "a string for timeout": (["true"], {"timeout_s": "1"}, "a timeout is a number of seconds or None"),
}


def test_wrong_types_are_refused_by_name(pod: PodHandle) -> None:
    for argv, options, words in WRONG.values():
        with pytest.raises(InvalidInput) as caught:
            pod.exec(argv, **options)
        assert words in caught.value.message
    with pytest.raises(InvalidInput, match="only a terminal has a size"):
        pod.start(["true"], size=(1, 1))
    for size in ((0, 1), (1, 65536), (1,), "24x80"):
        with pytest.raises(InvalidInput, match=r"number of rows|number of columns|pair of numbers"):
            pod.start(["true"], tty=True, size=size)  # type: ignore[arg-type]
    for number in (0, 65, -1, "TERM", True):
        with pytest.raises(InvalidInput, match="a signal is"):
            pod.signal(number)  # type: ignore[arg-type]
    for options in ({"grace_s": "1"}, {"grace_s": float("nan")}, {"timeout_s": float("nan")}):
        with pytest.raises(InvalidInput):
            pod.stop(**options)
    with pytest.raises(TimedOut):
        pod.wait(timeout_s=0)
    assert pod.exec(["true"]).returncode == 0, "none of it did anything to the pod"


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_terminal_has_its_size_though_the_caller_sets_none(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    # crun (1.8) sets it while the process begins, runc before.
    with (
        engine.run(App("busybox", FOREVER), runtime=runtime) as pod,
        pod.start(["sh", "-c", "sleep 0.3; stty size"], tty=True, size=(33, 101)) as running,
    ):
        assert running.wait() == Exited(0)
        assert os.read(running.stdout, 100) == b"33 101\r\n"


def test_a_terminal_is_resized_while_it_runs(engine: Engine) -> None:
    with engine.run(App("busybox", FOREVER)) as pod:
        script = "trap 'stty size; exit 7' WINCH; echo ready; while :; do sleep 0.05; done"
        with pod.start(["sh", "-c", script], tty=True, size=(33, 101)) as running:
            assert os.read(running.stdout, 100) == b"ready\r\n"
            running.resize(44, 66)
            assert running.wait() == Exited(7)
            assert os.read(running.stdout, 100) == b"44 66\r\n"
            with pytest.raises(InvalidInput, match="number of rows"):
                running.resize(0, 1)
        with pytest.raises(InvalidInput, match="no terminal"):
            running.resize(1, 1)
        with pod.start(["true"]) as piped, pytest.raises(InvalidInput, match="no terminal"):
            piped.resize(1, 1)


def test_which_app(engine: Engine) -> None:
    with engine.run(
        App("busybox", FOREVER, name="one", env={"ME": "1"}),
        App("busybox", FOREVER, name="two", env={"ME": "2"}),
    ) as pod:
        with pytest.raises(InvalidInput, match="several"):
            pod.exec(["true"])
        said = [pod.exec(["sh", "-c", "echo $ME"], app=name, text=True).stdout for name in ("one", "two")]
        assert said == ["1\n", "2\n"]


def test_app_that_has_ended_takes_no_exec(engine: Engine) -> None:
    with engine.run(App("busybox", ["true"], name="one"), App("busybox", FOREVER, name="two")) as pod:
        host_view.eventually("one ends", lambda: pod.status().app("one").end)
        with pytest.raises(Conflict):
            pod.exec(["true"], app="one")
    with engine.run(App("busybox", ["true"])) as pod:
        pod.wait(timeout_s=SOON_S)
        with pytest.raises(Unavailable):
            pod.exec(["true"])


def test_many_at_once_and_their_ends_are_their_own(pod: PodHandle) -> None:
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(pod.start(["sh", "-c", f"read go; exit {number}"])) for number in range(30)
        ]
        for execution in reversed(running):
            execution.close_stdin()
        assert [execution.wait() for execution in running] == [Exited(number) for number in range(30)]


# --- a terminal -----------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_terminal_with_a_size(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    with (
        engine.run(App("busybox", FOREVER), runtime=runtime) as pod,
        pod.start(["sh", "-c", "read go; stty size; tty; exit 5"], tty=True) as execution,
    ):
        assert execution.stdin == execution.stdout
        assert execution.stderr == -1
        fcntl.ioctl(execution.stdin, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        os.write(execution.stdin, b"go\n")
        assert execution.wait() == Exited(5)
        said = read_terminal(execution.stdout)
        assert "33 77\r\n/dev/pts/0\r\n" in said


def read_terminal(descriptor: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(descriptor, 4096)
        except OSError:  # EIO: nobody has the other side any more
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode()


def test_terminal_signals(pod: PodHandle) -> None:
    with pod.start(["sh", "-c", "echo ready; exec sleep 1000"], tty=True) as execution:
        assert b"ready" in os.read(execution.stdout, 100)
        os.write(execution.stdin, b"\x03")
        assert execution.wait() == Signaled(2)


def test_terminal_closed_by_the_caller_hangs_up(pod: PodHandle) -> None:
    with pod.start(
        ["sh", "-c", "trap 'touch /tmp/hup; exit' HUP; echo r; sleep 1000 & wait"], tty=True
    ) as execution:
        os.read(execution.stdout, 10)
    host_view.eventually("the hang-up arrives", lambda: not pod.exec(["test", "-e", "/tmp/hup"]).returncode)


# --- init is not worse for it ---------------------------------------------------------------------


def open_of(pid: int) -> list[str]:
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sorted(found)


def settled(init: int) -> list[str]:
    """What init holds open once nothing is under way: the same in several looks."""
    looks = [open_of(init)]

    def same() -> bool:
        looks.append(open_of(init))
        time.sleep(0.01)
        return len(looks) > 10 and all(look == looks[-1] for look in looks[-10:])

    host_view.eventually("init is at rest", same)
    return looks[-1]


def test_caller_that_goes_away_leaves_no_descriptor_in_init(engine: Engine, pod: PodHandle) -> None:
    init = init_of(engine, pod)
    before = settled(init)
    for tty in (False, True):
        pod.start(["sh", "-c", "sleep 0.3"], tty=tty).close()
    host_view.eventually("init has closed all", lambda: open_of(init) == before)


def test_exec_dies_with_the_pod(engine: Engine, pod: PodHandle) -> None:
    with pod.start(["sh", "-c", "setsid sleep 1000 & exec sleep 1000"]) as execution:
        inside = host_view.Inside(init_of(engine, pod))
        pod.kill()
        with pytest.raises(Unavailable):
            execution.wait()
    assert inside.survivors() == []


def test_exec_ends_with_its_app_while_the_pod_goes_on(engine: Engine) -> None:
    with engine.run(App("busybox", ["sh", "-c", "read go <&0; sleep 1000"], name="x")) as pod:
        pass
    with engine.run(
        App("busybox", ["sh", "-c", "mkfifo /tmp/p; read go </tmp/p"], name="short"),
        App("busybox", FOREVER, name="long"),
    ) as pod:
        host_view.eventually(
            "the fifo is there", lambda: not pod.exec(["test", "-p", "/tmp/p"], app="short").returncode
        )
        with pod.start(FOREVER, app="short") as execution:
            pod.exec(["sh", "-c", "echo go >/tmp/p"], app="short")
            assert execution.wait() == Signaled(9)
        assert str(pod.status().state) == "running"


# --- the control socket ---------------------------------------------------------------------------


def control_path(engine: Engine, pod: PodHandle) -> Path:
    return host_view.pod_directory(engine.data_dir, pod.uuid) / "carob/control.sock"


class Raw:
    """A client of the control socket that sends what it likes."""

    def __init__(self, directory: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptor = os.open(directory, os.O_PATH)
        try:
            self.socket.connect(f"/proc/self/fd/{descriptor}/carob/control.sock")
        except BaseException:
            self.socket.close()
            raise
        finally:
            os.close(descriptor)
        self.socket.settimeout(SOON_S)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, raw: bytes, descriptors: list[int] | None = None) -> None:
        rights = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        )
        self.socket.sendmsg([raw], rights)

    def ask(self, message: dict[str, Any], descriptors: list[int] | None = None) -> dict[str, Any]:
        self.send(json.dumps({"v": 1, **message}).encode(), descriptors)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        raw, ancillary, _, _ = self.socket.recvmsg(1 << 17, socket.CMSG_SPACE(64))
        assert ancillary == []
        answer: dict[str, Any] = json.loads(raw)
        return answer


@pytest.fixture
def raw(engine: Engine, pod: PodHandle) -> Iterator[Raw]:
    with Raw(host_view.pod_directory(engine.data_dir, pod.uuid)) as client:
        yield client


def test_socket_is_for_its_owner_alone(engine: Engine, pod: PodHandle) -> None:
    found = control_path(engine, pod).lstat()
    assert stat.S_ISSOCK(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, 0)


def test_another_user_is_not_served(engine: Engine, pod: PodHandle) -> None:
    """Even one that got hold of a connected socket's path and mode is told nothing."""
    path = control_path(engine, pod)
    for directory in [path, *path.parents]:
        if directory == Path("/"):
            break
        directory.chmod(directory.stat().st_mode | 0o777)
    script = (
        "import os, socket, sys\n"
        "fd = os.open(sys.argv[1], os.O_PATH)\n"
        "os.setgroups([]); os.setgid(1234); os.setuid(1234)\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(60)\n"
        "s.connect(f'/proc/self/fd/{fd}/control.sock')\n"
        "try:\n"
        '    s.send(b\'{"v":1,"op":"stop","grace_s":0}\')\n'
        "    print('answer', s.recv(1000))\n"
        "except (BrokenPipeError, ConnectionResetError):\n"
        "    print('answer', b'')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path.parent], capture_output=True, text=True, check=False
    )
    assert done.stdout == "answer b''\n", done.stderr
    assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"
    assert str(pod.status().state) == "running"


def request(**changes: object) -> dict[str, Any]:
    return {
        "op": "exec",
        "app": "busybox",
        "argv": ["true"],
        "env": [],
        "cwd": None,
        "user": None,
        "tty": False,
        **changes,
    }


def test_only_pipes_enter_a_pod(raw: Raw, tmp_path: Path) -> None:
    file = os.open(tmp_path / "secret", os.O_RDWR | os.O_CREAT)
    directory = os.open("/", os.O_RDONLY)
    null = os.open("/dev/null", os.O_RDWR)
    end, other = socket.socketpair()
    master, slave = os.openpty()
    reading, writing = os.pipe()
    try:
        for wrong in (file, directory, null, end.fileno(), slave):
            for place in range(3):
                descriptors = [reading, writing, writing]
                descriptors[place] = wrong
                answer = raw.ask(request(), descriptors)
                assert answer["event"] == "refused"
                assert "pipe" in answer["message"]
        for count in (0, 1, 2, 4, 8):
            assert raw.ask(request(), [writing] * count)["event"] == "refused"
        assert raw.ask(request(tty=True), [reading, writing, writing])["event"] == "refused"
    finally:
        end.close()
        other.close()
        for descriptor in (file, directory, null, master, slave, reading, writing):
            os.close(descriptor)


def test_descriptors_of_refused_requests_are_closed(engine: Engine, pod: PodHandle, raw: Raw) -> None:
    init = init_of(engine, pod)
    raw.ask({"op": "status"})
    before = settled(init)
    reading, writing = os.pipe()
    try:
        for message in (
            b"",
            b"no json",
            b'{"v":2}',
            b'{"v":1,"op":"status"}',
            b'{"v":1,"op":"exec"}',
            b'{"v":1,"op":"tie"}',
        ):
            with Raw(host_view.pod_directory(engine.data_dir, pod.uuid)) as other:
                with contextlib.suppress(OSError):
                    other.send(message, [reading] * 8)
                    other.socket.recv(1 << 17)
                with contextlib.suppress(OSError):
                    other.send(message, [reading] * 200)
                    other.socket.recv(1 << 17)
    finally:
        os.close(reading)
        os.close(writing)
    host_view.eventually("init has closed all", lambda: open_of(init) == before)


WRONG_PACKETS = [
    b"no json",
    b"\xff\xfe",
    b"[]",
    b"{}",
    b"null",
    b"1",
    b'{"v":"1"}',
    b'{"v":1}',
    b'{"v":1,"op":"fly"}',
    b'{"v":2,"op":"stop","grace_s":0}',
    b'{"v":99999999999999999999,"op":"stop"}',
    b"[" * 100_000,
    b'{"v":1,"op":' * 9_000,
    b'{"v":1,"op":"stop","grace_s":"soon"}',
    b'{"v":1,"op":"stop","grace_s":"nan"}',
    b'{"v":1,"op":"stop","grace_s":-1}',
    b'{"v":1,"op":"stop","grace_s":1e300}',
    b"{",
    b'{"v":1',
    b'{"v":1,"op":"exec","app":"busybox","argv":["true"],"tty":true,"user":' + b"[" * 600 + b"]" * 600 + b"}",
    b'{"v":1,"op":"stop","grace_s":[]}',
    b'{"v":1,"op":"stop","grace_s":NaN}',
    b'{"v":1,"op":"stop","grace_s":1' + b"0" * 400 + b"}",
    b'{"v":1,"op":"signal"}',
    b'{"v":1,"op":"signal","app":"busybox"}',
    b'{"v":1,"op":"signal","app":[],"signal":9}',
    b'{"v":1,"op":"signal","app":"nobody","signal":9}',
    b'{"v":1,"op":"signal","app":"busybox","signal":65}',
    b'{"v":1,"op":"signal","app":"busybox","signal":-1}',
    b'{"v":1,"op":"signal","app":"busybox","signal":99999999999999}',
    b'{"v":1,"op":"signal","app":"busybox","signal":1e400}',
    b'{"v":1,"op":"signal","app":"busybox","signal":{}}',
    b'{"v":1,"op":"exec"}',
    b'{"v":1,"op":"exec","app":{}}',
    b'{"v":1,"op":"exec","app":"busybox","tty":true,"argv":7}',
    b'{"v":1,"op":"exec","app":"busybox","tty":true,"argv":["a"],"env":7}',
    b'{"v":1,"op":"tie"}',
    b'{"v":1,"op":"\\ud800"}',
    b'{"v":1,"op":"' + b"x" * 120_000 + b'"}',
]


def test_malformed_oversized_and_future_packets_do_not_hurt_init(
    engine: Engine, pod: PodHandle, raw: Raw
) -> None:
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    for packet in WRONG_PACKETS:
        raw.send(packet)
        assert raw.answer()["event"] == "refused", packet[:100]
    # More than init reads at once, or than the kernel takes.
    for size in (131073, 150_000, 200_000):
        with Raw(directory) as other, contextlib.suppress(OSError):
            other.send(b'{"v":1,"op":"stop","x":"' + b"x" * size + b'"}')
            assert other.answer()["event"] == "refused"
    with Raw(directory) as other:
        other.send(b"")  # an empty packet is taken for the end
        assert other.socket.recv(10) == b""
    assert raw.ask({"op": "status"})["event"] == "status"
    assert raw.ask({"op": "status", "v": 1, "new": [1, {"x": None}]})["event"] == "status", (
        "unknown keys are passed over"
    )
    assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"


@pytest.mark.parametrize("grace", ["1e400", "1e300", "4e6", "1e12"])
def test_endless_grace_is_a_grace_without_end(engine: Engine, grace: str) -> None:
    with engine.run(
        App("busybox", ["sh", "-c", "trap : TERM; echo r; while :; do sleep 1 & wait; done"])
    ) as pod:
        host_view.eventually("the trap is set", lambda: pod.logs().text() == "r\n")
        with Raw(host_view.pod_directory(engine.data_dir, pod.uuid)) as raw:
            raw.send(b'{"v":1,"op":"stop","grace_s":' + grace.encode() + b"}")
            assert raw.answer()["event"] in ("stopping", "refused")
            assert raw.ask({"op": "status"})["event"] == "status"
            time.sleep(0.05)
        assert str(pod.status().state) == "running"
        pod.stop(grace_s=0)
        assert pod.status().app("busybox").end == Signaled(9)


def test_exec_with_nonsense_inside_the_request_is_refused_or_fails(engine: Engine, pod: PodHandle) -> None:
    reading, writing = os.pipe()
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    try:
        for changes in (
            {"argv": []},
            {"argv": ["a\0b"]},
            {"argv": [1, None]},
            {"argv": ["\ud800"]},
            {"user": "root"},
            {"user": {"uid": "x"}},
            {"user": {"uid": -5, "gid": 1 << 70}},
            {"cwd": 5},
            {"cwd": "relative"},
            {"cwd": "/no/such/directory"},
            {"env": ["no equals sign"]},
            {"env": [None]},
            {"app": "../busybox"},
            {"app": ""},
            {"tty": "yes"},
        ):
            with Raw(directory) as raw:
                answer = raw.ask(request(**changes), [reading, writing, writing])
                assert answer["event"] in ("refused", "failed", "started"), changes
    finally:
        os.close(reading)
        os.close(writing)
    assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"


def test_client_that_never_reads_does_not_stop_init(engine: Engine, pod: PodHandle) -> None:
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    with Raw(directory) as deaf:
        deaf.socket.settimeout(0.2)
        with contextlib.suppress(OSError):
            for _ in range(20_000):
                deaf.send(b'{"v":1,"op":"status"}')
        assert pod.exec(["echo", "fine"], text=True, timeout_s=SOON_S).stdout == "fine\n"
        with Raw(directory) as other:
            assert other.ask({"op": "status"})["event"] == "status"


def test_more_clients_than_are_served(engine: Engine, pod: PodHandle) -> None:
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Raw(directory)) for _ in range(300)]
        served = 0
        for client in clients:
            with contextlib.suppress(OSError, ValueError):
                served += client.ask({"op": "status"})["event"] == "status"
        assert 200 <= served < 300
    host_view.eventually("there is room again", lambda: answers(directory))
    assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"


def answers(directory: Path) -> bool:
    try:
        with Raw(directory) as raw:
            return bool(raw.ask({"op": "status"})["event"] == "status")
    except (OSError, ValueError):
        return False


def test_tie_takes_a_pidfd_and_nothing_else(raw: Raw, pod: PodHandle) -> None:
    reading, writing = os.pipe()
    pidfd = os.pidfd_open(os.getpid())
    try:
        for descriptors in ([reading], [], [pidfd, pidfd], [pidfd, reading]):
            assert raw.ask({"op": "tie"}, descriptors)["event"] == "refused"
        assert raw.ask({"op": "tie"}, [pidfd])["event"] == "tied"
    finally:
        for descriptor in (reading, writing, pidfd):
            os.close(descriptor)
    assert str(pod.status().state) == "running"

"""What apps read: pipes and terminals that others attach to, while all they write goes to the log."""

from __future__ import annotations

import os

import pytest

from carob import App, Engine, Exited, PodHandle
from carob.errors import Conflict, InvalidInput, Unavailable
from tests.needs import require_command
from tests.root import host_view

SOON_S = 60


def said(pod: PodHandle, text: str, app: str | None = None) -> None:
    host_view.eventually(f"it says {text!r}", lambda: text in pod.logs(app).text())


def init_of(engine: Engine, pod: PodHandle) -> int:
    return host_view.keeper(host_view.pod_directory(engine.data_dir, pod.uuid), "init")


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_what_is_attached_once_is_the_whole_input(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    much = os.urandom(1 << 20)
    with engine.run(App("busybox", ["sha256sum"], stdin="stream"), runtime=runtime) as pod:
        assert pod.input_modes() == {"busybox": "stream"}
        with pod.attach(once=True) as attached:
            assert not attached.tty
            attached.write(much)
            with pytest.raises(Conflict, match="reads nothing"):
                pod.attach()
        import hashlib

        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
        assert pod.logs().text().split()[0] == hashlib.sha256(much).hexdigest()


def test_several_attach_and_their_going_changes_nothing(engine: Engine) -> None:
    app = App("busybox", ["sh", "-c", "while read line; do echo got $line; done; echo over"], stdin="stream")
    with engine.run(app) as pod:
        first, second = pod.attach(), pod.attach()
        first.write(b"one\n")
        said(pod, "got one")
        first.close()
        second.write(b"two\n")
        said(pod, "got two")
        second.close()
        assert str(pod.status().state) == "running"
        with pod.attach(once=True) as last:
            last.write(b"three\n")
        assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
        assert pod.logs().text() == "got one\ngot two\ngot three\nover\n"
        with pytest.raises((Conflict, Unavailable)):
            pod.attach()


def test_who_is_attached_stays_so_when_the_app_is_started_again(engine: Engine) -> None:
    script = "echo up; read line; echo got $line; exit 1"
    app = App("busybox", ["sh", "-c", script], stdin="stream", restart="always", name="x")
    with engine.run(app) as pod, pod.attach() as attached:
        for number in range(3):
            said(pod, "up\n" + "".join(f"got {n}\nup\n" for n in range(number)))
            host_view.eventually("it runs", lambda: pod.status().app("x").state == "running")
            attached.write(b"%d\n" % number)
            said(pod, f"got {number}")


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_terminal_of_an_app(engine: Engine, runtime: str) -> None:
    require_command(runtime)
    with engine.run(App("busybox", ["sh"], stdin="tty", name="x"), runtime=runtime) as pod:
        assert pod.input_modes() == {"x": "tty"}
        with pod.attach(once=True) as attached, pod.attach() as other:
            assert attached.tty
            attached.resize((33, 77))
            attached.write(b"stty size; test -t 0 && test -t 1 && test -t 2 && echo all\n")
            said(pod, "33 77\r\n")
            said(pod, "\r\nall\r\n")
            other.write(b"echo o''ther\n")
            said(pod, "other\r\n")
            with pytest.raises(InvalidInput):
                attached.resize((0, 0))
        with pod.attach() as again:
            again.write(b"sleep 1000\n")
            host_view.eventually("it sleeps", lambda: pod.exec(["pidof", "sleep"]).returncode == 0)
            again.write(b"\x03")
            again.write(b"exit 6\n")
        assert pod.wait(timeout_s=SOON_S).apps == {"x": Exited(6)}


def test_streams_that_are_null_go_nowhere(engine: Engine) -> None:
    script = "echo out; echo err >&2; readlink /proc/self/fd/0"
    with engine.run(
        App("busybox", ["sh", "-c", script], stdout="null", name="a"),
        App("busybox", ["sh", "-c", script], stderr="null", name="b"),
    ) as pod:
        pod.wait(timeout_s=SOON_S)
        assert pod.logs("a").text() == "err\n"
        assert pod.logs("b").text() == "out\n/dev/null\n"
        with pytest.raises((Conflict, Unavailable)):
            pod.attach(app="a")


def test_an_app_has_nothing_of_the_callers(engine: Engine) -> None:
    """Only pipes that init made and the pod's own terminal: nothing can be reached through them."""
    script = "for n in 0 1 2; do readlink /proc/self/fd/$n; done; ls /proc/self/fd | wc -l; cat"
    with engine.run(
        App("busybox", ["sh", "-c", script], stdin="stream", name="pipes"),
        App("busybox", ["sh", "-c", script], stdin="tty", name="terminal"),
    ) as pod:
        said(pod, "\n4\n", "pipes")
        said(pod, "\r\n4\r\n", "terminal")
        pipes = pod.logs("pipes").text().splitlines()[:3]
        assert all(one.startswith("pipe:[") for one in pipes)
        assert len(set(pipes)) == 3
        assert pod.logs("terminal").text().splitlines()[:3] == ["/dev/pts/0"] * 3


def test_a_reader_that_does_not_read_holds_up_nobody_else(engine: Engine) -> None:
    app = App("busybox", ["sleep", "1000"], stdin="stream", name="deaf")
    with engine.run(app) as pod, pod.attach() as attached:
        written = 0
        while sent := attached.feed(memoryview(bytes(65536))):
            written += sent
        assert written >= 65536
        assert pod.exec(["echo", "fine"], text=True).stdout == "fine\n"
        pod.stop(grace_s=0)
        with pytest.raises((Conflict, Unavailable)):
            attached.write(b"more")


@pytest.mark.parametrize(
    "streams",
    [
        {"stdin": "log"},
        {"stdout": "tty", "stderr": "null"},
        {"stdin": "stream", "stdout": "tty"},
        {"stdin": 7},
        {"stderr": ""},
    ],
)
def test_streams_that_cannot_be(streams: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        App("busybox", **streams)  # type: ignore[arg-type]

"""Programs that the kernel refuses to execute when the runtime has done its part: they never ran."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carob import App, Engine, Exited, Mount, PodHandle, Unknown
from carob.errors import AppStartFailed, CommandFailed
from tests.needs import require_command
from tests.root import host_view
from tests.root.mutable_pods import app as of_pod

SOON_S = 60
CASES = {
    "no-interpreter": (b"#!/nope\n", 127),
    "other-machine": (b"\x7fELFgarbage", 126),
    "text": (b"hi\n", 126),
}


@pytest.fixture
def programs(tmp_path: Path) -> list[Mount]:
    directory = tmp_path / "programs"
    directory.mkdir()
    for name, (content, _) in CASES.items():
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o755)
    return [Mount(directory, "/programs")]


@pytest.fixture
def pod(engine: Engine, programs: list[Mount]) -> Iterator[PodHandle]:
    with engine.run(App("busybox", ["sleep", "1000"], mounts=programs)) as running:
        yield running


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_pod_of_it_does_not_come_up_and_says_why(
    engine: Engine, programs: list[Mount], runtime: str
) -> None:
    require_command(runtime)
    for name, (_, code) in CASES.items():
        for tty in (False, True):
            app = App("busybox", [f"/programs/{name}"], mounts=programs, stdin="tty" if tty else "null")
            with pytest.raises(AppStartFailed, match=f"/programs/{name}") as caught:
                engine.run(app, runtime=runtime)
            assert caught.value.code == code, name
            (status,) = engine.list()
            found = engine.get(status.uuid)
            assert found.logs().text() == "", "what the runtime says of it is no output of the app's"
            assert isinstance(found.wait().apps["busybox"], Unknown)
            found.remove()


@pytest.mark.parametrize("tty", [False, True])
def test_nor_does_an_execution(pod: PodHandle, tty: bool) -> None:
    for name, (_, code) in CASES.items():
        with pytest.raises(CommandFailed, match=r"could not be started in app busybox: .*exec") as caught:
            pod.start([f"/programs/{name}"], tty=tty)
        assert caught.value.status == code, name
    assert pod.exec(["sh", "-c", "exit 1"]).end == Exited(1), "which a program that runs may do"


def test_nor_an_app_of_a_mutable_pod(engine: Engine, programs: list[Mount]) -> None:
    pod = engine.sandbox()
    pod.add(App("busybox", ["/programs/other-machine"], name="bad", mounts=programs))
    pod.add(of_pod("good"))
    for _ in range(2):
        with pytest.raises(AppStartFailed, match=r"could not be started: .*format") as caught:
            pod.start_app("bad")
        assert caught.value.code == 126
    pod.start_app("good")
    assert pod.status().app("good").state == "running"
    pod.remove(force=True)


def test_one_that_goes_bad_is_started_again_as_often_as_was_asked(engine: Engine) -> None:
    prepared = engine.prepare(App("busybox", ["/bin/own"], name="x", restart="on-failure:2"))
    top = host_view.pod_directory(engine.data_dir, prepared.uuid)
    (upper,) = top.glob("overlay/sha256-*/upper/x")
    (upper / "bin").mkdir()
    own = upper / "bin/own"
    spoil = "echo '#!/nope' > /bin/new; chmod +x /bin/new; mv /bin/new /bin/own; exit 1"
    own.write_text(f"#!/bin/sh\n{spoil}\n")
    own.chmod(0o755)
    prepared.run()
    end = prepared.wait(timeout_s=SOON_S)
    assert isinstance(end.apps["x"], Unknown)
    assert "could not be started again" in str(end.apps["x"])
    assert prepared.status().app("x").restarts == 2
    prepared.remove()

"""How an app ended is told to whoever asks, for as long as anything of the pod or of its record is there."""

from __future__ import annotations

import sys

from carob import App, Engine, Exited, PodHandle
from tests.root import host_view, steps

SOON_S = 60
FAILS = App("busybox", ["sh", "-c", "exit 3"], name="app")


def ended(engine: Engine) -> PodHandle:
    pod = engine.run(FAILS)
    pod.wait(timeout_s=SOON_S)
    steps.supervisors_settle(engine.data_dir)
    return pod


def is_told(engine: Engine, pod: PodHandle) -> None:
    assert pod.wait(timeout_s=SOON_S).apps == {"app": Exited(3)}
    assert [app.end for one in engine.list() for app in one.apps] in ([Exited(3)], [])


def test_a_removal_killed_at_any_step_hides_no_end(engine: Engine) -> None:
    pod = ended(engine)
    for _ in steps.killed_at_every_step(pod.remove, 10):
        is_told(engine, pod)
    host_view.nothing_left(engine.data_dir, pod.uuid)


def die_at_the_second_file() -> None:
    """Has this process delete one file of a pod from now on, and no more."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event == "os.remove" and arguments[1] != -1:  # by its name in an open directory
            seen += 1
            if seen == 2:
                steps.die()

    sys.addaudithook(hook)


def test_whatever_is_deleted_of_a_pod_already_its_end_is_known(engine: Engine) -> None:
    """File by file, down to the manifest and the mark that its deletion has begun."""
    pod = ended(engine)
    left = files(engine, pod)
    assert left > 10
    while left > 2:
        assert steps.in_child(pod.remove, 1, die_at_the_second_file)
        assert files(engine, pod) < left
        left = files(engine, pod)
        is_told(engine, pod)
    pod.remove()
    is_told(engine, pod)
    host_view.nothing_left(engine.data_dir, pod.uuid)


def files(engine: Engine, pod: PodHandle) -> int:
    directory = host_view.pod_directory(engine.data_dir, pod.uuid)
    mark = directory / "carob/deleting"
    return len([path for path in directory.rglob("*") if path != mark and not path.is_dir()]) + 1

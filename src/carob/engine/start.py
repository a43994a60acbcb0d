"""From a request to a running pod: prepare and launch, with what can overlap overlapped."""

from __future__ import annotations

import os

from carob.engine import prepare
from carob.errors import CarobError, Conflict, LostRace
from carob.pod import Directory, State, new_pod
from carob.pod.directory import pod_path
from carob.protocol import plan as plans
from carob.runtime import driver
from carob.supervisor import launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.request import PodRequest
    from carob.image.store import Store
    from carob.image.trees import TreeHold, Trees
    from carob.pod import Pod


class Supervision:
    """How supervisors are started: the interpreter to use, and what tests put before the program."""

    __slots__ = ("launcher", "python")

    def __init__(self, python: str | None = None, launcher: tuple[str, ...] = ()) -> None:
        self.python = python
        self.launcher = launcher

    def start(self, pod_path: str) -> launch.Monitor:
        """Starts a monitor for the pod at this path."""
        return launch.start(pod_path, python=self.python, launcher=self.launcher)


class _Ingredients:
    """The request's apps with their images, unpacked and held against collection while in the block."""

    def __init__(self, request: PodRequest, store: Store, trees: Trees) -> None:
        self._holds: list[TreeHold] = []
        self.found: list[prepare.Ingredient] = []
        names = prepare.app_names(request.apps)
        try:
            for name, app in zip(names, request.apps, strict=True):
                image = store.resolve(app.image)
                hold = trees.hold(image)
                self._holds.append(hold)
                self.found.append(prepare.Ingredient(name, app, image, hold.tree))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> list[prepare.Ingredient]:
        return self.found

    def __exit__(self, *_: object) -> None:
        for hold in self._holds:
            hold.close()


def prepare_pod(data_dir: str, request: PodRequest, store: Store, trees: Trees) -> str:
    """Makes a prepared pod and returns its uuid."""
    runtime = driver.find(request.runtime)
    with _Ingredients(request, store, trees) as parts, new_pod(data_dir) as pod:
        _fill(pod, request, parts, runtime)
        return str(pod.uuid)


def run_pod(
    data_dir: str,
    request: PodRequest,
    store: Store,
    trees: Trees,
    supervision: Supervision,
    *,
    tied: bool,
    timeout_s: float | None,
) -> str:
    """Makes a pod and runs it; returns its uuid when all its apps run.

    The monitor's interpreter starts while the pod is prepared. Raises what ``Monitor.wait_ready`` does; the
    pod is then on disk, ended, with its logs, but for a failure before it was prepared, which leaves nothing.
    """
    runtime = driver.find(request.runtime)
    with _Ingredients(request, store, trees) as parts, new_pod(data_dir) as pod:
        uuid = str(pod.uuid)
        os.mkdir(plans.DIRECTORY, 0o750, dir_fd=pod.fd())
        monitor = supervision.start(pod.path())
        try:
            _fill(pod, request, parts, runtime)
            _go(data_dir, uuid, monitor, tied=tied, timeout_s=timeout_s)
        finally:
            monitor.close()
    return uuid


def _fill(pod: Pod, request: PodRequest, parts: list[prepare.Ingredient], runtime: driver.Runtime) -> None:
    try:
        prepare.write(pod, request, parts, runtime)
        pod.sync()
        pod.to_prepared()
    except BaseException:
        _discard(pod)
        raise


def _discard(pod: Pod) -> None:
    """Takes away a pod that could not be prepared; what cannot be taken now, gc will."""
    from carob.pod.collect import remove_pod

    try:
        pod.unlock()
        remove_pod(pod, alive=lambda _: False, clean_up=lambda _: None)
    except (OSError, CarobError):
        return


def _go(data_dir: str, uuid: str, monitor: launch.Monitor, *, tied: bool, timeout_s: float | None) -> None:
    run_path = pod_path(data_dir, Directory.RUN, uuid)
    monitor.go(
        source=pod_path(data_dir, Directory.PREPARED, uuid),
        target=run_path,
        tied_to_caller=tied,
    )
    monitor.wait_ready(run_path, uuid=uuid, timeout_s=timeout_s)


def run_prepared(
    data_dir: str, pod: Pod, supervision: Supervision, *, tied: bool, timeout_s: float | None
) -> None:
    """Runs a prepared pod; returns when all its apps run.

    Raises ``LostRace`` where another process runs it first, ``Conflict`` where it is not prepared.
    """
    uuid = str(pod.uuid)
    state = pod.refresh()
    if state is not State.PREPARED:
        raise Conflict(f"pod {uuid} is {state}, not prepared", hint="prepare a new one: carob prepare")
    try:
        monitor = supervision.start(pod.path())
    except CarobError:
        if pod.refresh() is not State.PREPARED:
            raise LostRace(
                f"pod {uuid} is no longer prepared: another process was quicker", state=pod.state()
            ) from None
        raise
    try:
        _go(data_dir, uuid, monitor, tied=tied, timeout_s=timeout_s)
    except LostRace as error:
        error.state = pod.refresh()
        raise
    finally:
        monitor.close()

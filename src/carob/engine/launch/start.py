"""From a request to a running pod: prepare and launch, with what can overlap overlapped."""

from __future__ import annotations

import os

from carob.engine.appc.images import own_name
from carob.engine.launch.supervision import MADE, PREPARED, READY, silent
from carob.engine.observe.plan import read_plan
from carob.engine.prepare import pod as prepare
from carob.errors import CarobError, Conflict, InvalidInput, LostRace
from carob.pod import Directory, State, new_pod, open_pod
from carob.pod.directory import pod_path
from carob.pod.failure import failed
from carob.runtime import driver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carob.engine.launch.supervision import Progress, Supervision
    from carob.engine.request.pod import App, PodRequest
    from carob.engine.volumes.sources import Sources
    from carob.image.layers.trees import TreeHold, Trees
    from carob.image.store.resolved import ResolvedImage
    from carob.pod import Pod
    from carob.supervisor import launch

    Find = Callable[[str], ResolvedImage]


class Ingredients:
    """Apps that are asked for, with their images, unpacked and held against collection while in the block."""

    def __init__(self, apps: Sequence[App], find: Find, trees: Trees) -> None:
        self._holds: list[TreeHold | Sources] = []
        self.found: list[prepare.Ingredient] = []
        names = prepare.app_names(apps)
        try:
            for name, app in zip(names, apps, strict=True):
                image = find(app.image)
                hold = trees.hold(image)
                self._holds.append(hold)
                appc = own_name(trees.directory, image.image_id)
                if appc is not None or (image.config.get("config") or {}).get("Volumes"):
                    from carob.engine.prepare import of_image

                    data_dir = trees.directory if appc is not None else ""
                    app = of_image.completed(app, image, hold.tree, data_dir)  # noqa: PLW2901 - by its image
                sources = None
                if app.mounts or app.files:
                    from carob.engine.volumes.sources import Sources

                    sources = Sources()
                    self._holds.append(sources)
                    sources.find(app, name, hold.tree, find, trees)
                self.found.append(prepare.Ingredient(name, app, image, hold.tree, appc, sources))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> list[prepare.Ingredient]:
        return self.found

    def __exit__(self, *_: object) -> None:
        for hold in self._holds:
            hold.close()


def prepare_pod(
    data_dir: str, request: PodRequest, find: Find, trees: Trees, *, progress: Progress = silent
) -> str:
    """Makes a prepared pod and returns its uuid."""
    if request.cgroups == "split":
        raise InvalidInput(
            "cgroups=split is for pods that are run at once: a prepared one may be run from anywhere"
        )
    runtime = driver.find(request.runtime)
    with Ingredients(request.apps, find, trees) as parts, new_pod(data_dir) as pod:
        uuid = str(pod.uuid)
        progress(MADE, uuid)
        try:
            _fill(pod, request, parts, runtime, at_once=False)
        except BaseException:
            _discard(pod)
            raise
        progress(PREPARED, uuid)
        return uuid


def run_pod(
    data_dir: str,
    request: PodRequest,
    find: Find,
    trees: Trees,
    supervision: Supervision,
    *,
    tied: bool,
    timeout_s: float | None,
    progress: Progress = silent,
) -> str:
    """Makes a pod and runs it; returns its uuid when all its apps run.

    The monitor's interpreter starts while the pod is prepared, or was started before. Raises what
    ``Monitor.wait_ready`` does; the pod is then on disk, ended, with its logs, but for a failure before it
    was prepared, which leaves nothing.
    """
    runtime = driver.find(request.runtime)
    kind = {"network": request.network_kind, "runtime": runtime.path, "kind": _kind(request)}
    with (
        supervision.start(**kind) as monitor,
        Ingredients(request.apps, find, trees) as parts,
        new_pod(data_dir) as pod,
    ):
        uuid = str(pod.uuid)
        try:
            progress(MADE, uuid)
            _fill(pod, request, parts, runtime, at_once=True)
            progress(PREPARED, uuid)
            files = [(file.content, file.source) for app in request.apps for file in app.files]
            _go(data_dir, uuid, monitor, tied=tied, files=files)
        except BaseException as error:
            monitor.close()
            _discard(pod)
            if not isinstance(error, Exception):
                _abandon(data_dir, uuid)  # the word to go may have been sent
            raise
        try:
            _wait_ready(data_dir, uuid, monitor, timeout_s)
        except BaseException as error:
            if not isinstance(error, Exception):
                _abandon(data_dir, uuid)
            elif pod.refresh() is State.PREPARED:
                _discard(pod)
            raise
    supervision.replenish(**kind)
    progress(READY, uuid)
    return uuid


def _kind(request: PodRequest) -> str:
    """What is special about the supervisor of such a pod (``carob.supervisor.boot``)."""
    if request.pid == "host":
        return "host-pid"
    return "owned" if request.user_namespace is not None else ""


def _fill(
    pod: Pod,
    request: PodRequest,
    parts: list[prepare.Ingredient],
    runtime: driver.Runtime,
    *,
    at_once: bool,
) -> None:
    """Writes the pod and makes it prepared; durably, unless it is run at once: a power loss ends it anyway,
    and a sync of the file system waits for what everybody else has written.
    """
    try:
        prepare.write(pod, request, parts, runtime, at_once=at_once)
    except OSError as error:
        if isinstance(error, CarobError):
            raise
        raise failed(error, f"cannot prepare pod {pod.uuid}") from error
    if not at_once:
        pod.sync()
    pod.to_prepared(durable=not at_once)


def _discard(pod: Pod) -> None:
    """Takes away a pod that did not come to run; what cannot be taken now, gc will."""
    from carob.pod.collect import remove_pod

    try:
        pod.unlock()
        remove_pod(pod, alive=lambda _: False, clean_up=lambda _: None)
    except (OSError, CarobError):
        return


def _abandon(data_dir: str, uuid: str) -> None:
    """The caller was interrupted and will never learn of this pod: it is ended and taken away."""
    from carob.engine.end.stop import remove

    try:
        with open_pod(data_dir, uuid) as pod:
            remove(pod, data_dir, force=True)
    except (OSError, CarobError):
        return


def _go(
    data_dir: str,
    uuid: str,
    monitor: launch.Monitor,
    *,
    tied: bool,
    files: Sequence[tuple[bytes | None, str | None]],
) -> None:
    carried = None
    if files:
        from carob.engine.prepare.contents import carry

        carried = carry(files)
    try:
        monitor.go(
            source=pod_path(data_dir, Directory.PREPARED, uuid),
            target=pod_path(data_dir, Directory.RUN, uuid),
            tied_to_caller=tied,
            contents=carried,
        )
    finally:
        if carried is not None:
            os.close(carried)


def _wait_ready(data_dir: str, uuid: str, monitor: launch.Monitor, timeout_s: float | None) -> None:
    monitor.wait_ready(
        pod_path(data_dir, Directory.PREPARED, uuid),
        pod_path(data_dir, Directory.RUN, uuid),
        uuid=uuid,
        timeout_s=timeout_s,
    )


def run_prepared(
    data_dir: str,
    pod: Pod,
    supervision: Supervision,
    *,
    tied: bool,
    timeout_s: float | None,
    progress: Progress = silent,
) -> None:
    """Runs a prepared pod; returns when all its apps run.

    Raises ``LostRace`` where another process runs it first, ``Conflict`` where it is not prepared.
    """
    uuid = str(pod.uuid)
    state = pod.refresh()
    if state is not State.PREPARED:
        raise Conflict(f"pod {uuid} is {state}, not prepared", hint="prepare a new one: carob prepare")
    try:
        plan = read_plan(pod)
    except CarobError:
        if pod.refresh() is not State.PREPARED:
            raise LostRace(
                f"pod {uuid} is no longer prepared: another process was quicker", state=pod.state()
            ) from None
        raise
    if plan.get("at_once"):
        raise Conflict(
            f"pod {uuid} was to be run at once, by another process", hint="if that has died: carob rm"
        )
    special = ""
    if "pid" in plan.get("host_namespaces", ()):
        special = "host-pid"
    elif "owners" in plan:
        from carob.engine.prepare import user_namespace

        special = "owned"
        user_namespace.hold(pod, plan)
    kind = {"network": plan["network"], "runtime": plan["runtime"]["path"], "kind": special}
    try:
        with supervision.start(**kind) as monitor:
            files = [(None, file["source"]) for file in plan.get("files", ())]
            _go(data_dir, uuid, monitor, tied=tied, files=files)
            _wait_ready(data_dir, uuid, monitor, timeout_s)
    except LostRace as error:
        error.state = pod.refresh()
        raise
    supervision.replenish(**kind)
    progress(READY, uuid)

"""Adding an app to a running pod: first its files, then init makes it, and then the manifest names it.

Whoever is killed before that last step leaves what the next change takes away: no app was added. From there
on the app is the pod's, and created.
"""

from __future__ import annotations

import os
from stat import S_ISLNK, S_ISREG

from carob.engine.launch.start import Ingredients
from carob.engine.observe.plan import read_plan
from carob.engine.observe.processes import init_pid
from carob.engine.observe.status import annotation
from carob.engine.prepare import pod as prepare
from carob.engine.prepare import user_namespace
from carob.engine.prepare.isolation import Isolation
from carob.engine.prepare.owners import owners_here
from carob.engine.request.pod import PodRequest, app_name_from
from carob.engine.sandbox import leftovers
from carob.engine.sandbox.addition import HOST, POD, PRIVATE
from carob.engine.sandbox.manifest import Manifest
from carob.errors import AppStartFailed, CarobError, Conflict, InvalidInput, Unavailable
from carob.pod.failure import failed
from carob.protocol import plan as plans
from carob.protocol.pod_network import HOSTNAME, HOSTS, RESOLV_CONF
from carob.supervisor import client

ISOLATION = "carob/isolation"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.engine.launch.start import Find
    from carob.engine.prepare.networks import Surroundings
    from carob.engine.prepare.owners import Owners
    from carob.engine.prepare.pod import Ingredient
    from carob.engine.sandbox.addition import Addition
    from carob.image.layers.trees import Trees
    from carob.pod import Pod


def add(pod: Pod, addition: Addition, find: Find, trees: Trees) -> str:
    """Adds an app to a running mutable pod, created and not started; returns its name.

    Raises ``ImmutablePod``, ``Conflict`` where the pod does not run or has an app of that name,
    ``AppStartFailed`` where the runtime cannot make it, and what making a pod does. Nothing is left then.
    """
    if addition.log_path is not None:
        _check_log(addition.log_path)
    with Ingredients([addition.app], find, trees) as (one,), Manifest(pod) as manifest:
        manifest.require_running()
        one.name = _name(addition, manifest.names, str(pod.uuid))
        plan = read_plan(pod)
        status_directory = str(plan["status_dir"])
        leftovers.sweep(pod, manifest, status_directory)
        try:
            entry, spec, volumes = _write(pod, manifest, plan, one, addition)
            _hand_over(pod, plan, spec, one, addition)
            manifest.add(entry, volumes)
        except BaseException as error:
            if not isinstance(error, Unavailable):  # else nobody would answer now either
                _undo(pod, manifest, status_directory)
            if isinstance(error, AppStartFailed):
                error.message = f"app {one.name} could not be created: {error.message}"
                error.args = (error.message,)
            raise
        return one.name


def _check_log(path: str) -> None:
    """Init opens nothing but a file there; who made something else is told so before anything is made."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return  # it will be made, or its directory is not there either
    except OSError as error:
        raise failed(error, f"cannot look at the log {path}") from error
    if not S_ISREG(mode):
        found = "a symbolic link" if S_ISLNK(mode) else "no regular file"
        raise InvalidInput(f"log_path is {found}: {path}", hint="a log is a file, or nothing yet")


def _name(addition: Addition, taken: list[str], uuid: str) -> str:
    name = addition.app.name
    if name is None:
        return prepare.free_name(app_name_from(addition.app.image), set(taken))
    if name in taken:
        raise Conflict(f"pod {uuid} has an app {name!r} already", hint=f"carob app rm {uuid} --app={name}")
    return name


def _undo(pod: Pod, manifest: Manifest, status_directory: str) -> None:
    """Takes away what was made of an app that is not added after all, or leaves that to the next change."""
    try:
        leftovers.sweep(pod, manifest, status_directory)
    except (OSError, CarobError):
        return


def _write(
    pod: Pod, manifest: Manifest, plan: dict[str, Any], one: Ingredient, addition: Addition
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """Writes the app's files; returns its entry of the manifest, its part of the plan, its appc volumes."""
    owners: Owners | None = user_namespace.of_plan(plan)
    if plan["user_namespace"]:
        owners = owners_here()
    request = _request(pod, manifest, plan, addition)
    request.apps = (one.app,)
    pid_of = _pid_of(request, manifest, addition)
    isolation = Isolation(
        request,
        [(one.name, one.app)],
        uuid=str(pod.uuid),
        runtime=plan["runtime"]["name"],
        owners=owners,
    )
    isolation.shares["shares_network"] = plan["network"] == "host"
    if pid_of:
        shared = f"pid={plans.pid_namespace(one.name)}"
        isolation.namespaces = [shared if name == "pid" else name for name in isolation.namespaces]
    files = prepare.Files(pod.fd())
    overlay = pod.uses_overlay()
    mounts = None
    if one.app.mounts or one.app.files:
        from carob.engine.prepare.mounts import MountPlan
        from carob.engine.volumes.uses import of_added_app

        files.directory(plans.bundle_directory(one.name))
        mounts = MountPlan(
            [one],
            files,
            overlay=overlay,
            at_once=True,
            files_at=f"{plans.FILES_AT}/{one.name}",
            uses_in=of_added_app(one.name),
        )
    entry, spec = prepare.write_app(
        files,
        request,
        one,
        isolation,
        owners,
        mounts,
        hostname=str(plan["hostname"]),
        rootfs=os.path.dirname(os.path.dirname(plan["status_dir"])),
        overlay=overlay,
        around=_surroundings(pod),
        noted=addition.noted(),
    )
    entry["app"] |= addition.words()
    if mounts is not None:
        spec |= mounts.finish()
    if pid_of:
        spec["pid_of"] = pid_of
    if addition.log_path is not None:
        spec["log"] = os.path.basename(addition.log_path)
    files.write(plans.app_plan(one.name), plans.write(spec))
    files.write(f"{plan['status_dir']}/{one.name}-created", b"")
    return entry, spec, [*mounts.appc.values()] if mounts is not None else []


def _request(pod: Pod, manifest: Manifest, plan: dict[str, Any], addition: Addition) -> PodRequest:
    """What was asked for with the pod, as far as an app of it depends on that."""
    noted = annotation(manifest.document, ISOLATION)
    told = _told(pod, noted) if noted else {}
    made_with = str(told.get("pid", PRIVATE))
    wanted: Any = addition.pid or made_with
    if wanted == HOST and made_with != HOST:
        raise InvalidInput(
            "an app is among the host's processes only where its pod is", hint="make the pod with pid=host"
        )
    if wanted == POD and made_with == HOST:
        wanted = HOST
    ipc: Any = told.get("ipc", "pod")
    parent = str(plan["cgroup"]).removesuffix(f"/carob/{pod.uuid}")
    return PodRequest(
        (), mutable=True, pid=wanted, ipc=ipc, resources=told.get("resources"), cgroup_parent=parent
    )


def _pid_of(request: PodRequest, manifest: Manifest, addition: Addition) -> str:
    """Whose PID namespace the app joins; ``""`` for one that has its own, or the host's."""
    if request.pid == POD:
        request.pid = PRIVATE  # a namespace like an app's own, which init is not in
        return plans.ALL_APPS
    if addition.pid_of and addition.pid_of not in manifest.names:
        raise InvalidInput(f"it cannot be among the processes of {addition.pid_of!r}: there is no such app")
    return addition.pid_of


def _told(pod: Pod, noted: str) -> dict[str, Any]:
    """What the manifest says of namespaces and limits that are not the usual ones."""
    from carob.engine.appc import isolators

    _, manifest = pod.pod_manifest()
    return isolators.read_pod("isolators", manifest.isolators, noted)


def _surroundings(pod: Pod) -> Surroundings | None:
    """The pod's own files below ``/etc``, which each of its apps sees."""
    found = [name for name in (HOSTS, HOSTNAME, RESOLV_CONF) if _is_there(pod, name)]
    if not found:
        return None
    from carob.engine.prepare.networks import Surroundings

    return Surroundings(None, dict.fromkeys(found, ""))


def _is_there(pod: Pod, name: str) -> bool:
    try:
        os.stat(name, dir_fd=pod.fd())
    except FileNotFoundError:
        return False
    return True


def _hand_over(
    pod: Pod, plan: dict[str, Any], spec: dict[str, Any], one: Ingredient, addition: Addition
) -> None:
    """Has init create the app, with the contents of its files."""
    contents = None
    if one.app.files:
        from carob.engine.prepare.contents import carry

        contents = carry([(file.content, file.source) for file in one.app.files])
    mapping = user_namespace.of_running(pod, plan)
    try:
        client.add_app(
            pod.fd(),
            str(pod.uuid),
            spec,
            contents,
            path=pod.path(),
            log_directory="" if addition.log_path is None else os.path.dirname(addition.log_path),
            owners=mapping,
            init=init_pid(pod) if plan["user_namespace"] else 0,
        )
    finally:
        if mapping is not None:
            os.close(mapping.descriptor)
        if contents is not None:
            os.close(contents)

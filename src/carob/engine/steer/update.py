"""Other limits for an app or a pod that runs."""

from __future__ import annotations

import errno
import os
from fcntl import LOCK_EX, flock

from carob.engine.observe.plan import read_plan
from carob.engine.prepare import limiting
from carob.engine.request.resources import Resources
from carob.errors import Conflict, InvalidInput, Unsupported
from carob.linux import limits
from carob.linux.files import read_file, replace_file
from carob.pod import State
from carob.pod.failure import failed
from carob.protocol import plan as plans
from carob.protocol.compact_json import dumps, loads
from carob.runtime import resources as oci

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.pod import Pod


def update(pod: Pod, app: str, resources: Resources) -> None:
    """Sets what is given and leaves the rest; ``app`` is ``""`` for the whole pod.

    An app that is started anew keeps it. Raises ``Conflict`` where it does not run, or has more in use than
    it would be left with; ``Unsupported`` where the pod was made without a group for this kind of limit.
    """
    if not isinstance(resources, Resources):
        raise InvalidInput(f"resources are made with Resources, not {resources!r}")
    if not resources.given():
        raise InvalidInput("there is nothing to update", hint="such as memory_bytes or cpus")
    if pod.state() is not State.RUNNING:
        raise Conflict(f"pod {pod.uuid} is {pod.state()}, not running")
    plan = read_plan(pod)
    if not plan["cgroup"]:
        raise Unsupported(
            f"pod {pod.uuid} has no control group, so it has no limits",
            hint="a plain user's pods have one where groups are delegated; carob doctor tells more",
        )
    above, of_whom = os.path.dirname(plan["cgroup"]), f"app {app}" if app else f"pod {pod.uuid}"
    group = f"{plan['cgroup']}/{app}" if app else plan["cgroup"]
    # Here no runtime is between: what one of them cannot write is no matter.
    settled = limiting.settle(resources, of_whom, above=above, runtime="none" if app else "")
    _check_groups(group, settled, of_whom, whole=plan["cgroup"])
    try:
        limits.apply(group, settled)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EINVAL, errno.ENOENT):
            raise Conflict(
                f"{of_whom}: the kernel does not take that: {error.strerror} ({error.filename})",
                hint="more may be in use already, or the pod as a whole have less",
            ) from error
        raise failed(error, f"{of_whom} cannot be updated") from error
    if app:
        _remember(pod, app, oci.section(settled))


def _check_groups(group: str, settled: dict[str, Any], of_whom: str, *, whole: str) -> None:
    for one in limits.writes(settled):
        if limits.is_there(group, one):
            continue
        if limits.is_there(whole, one):
            raise Conflict(f"{of_whom} does not run")
        raise Unsupported(
            f"{of_whom} was made without a group for {one.argument}",
            hint="on cgroup v1 a pod has one only where that was limited from the start",
        )


def _remember(pod: Pod, app: str, section: dict[str, Any]) -> None:
    """Puts it into the app's configuration, which the runtime reads whenever the app is started."""
    directory = os.open(
        plans.bundle_directory(app), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=pod.fd()
    )
    try:
        flock(directory, LOCK_EX)  # against another update
        document = loads(read_file("config.json", dir_fd=directory))
        resources = document["linux"]["resources"]
        for key, value in section.items():
            resources[key] = {**resources.get(key, {}), **value} if isinstance(value, dict) else value
        replace_file("config.json", dumps(document).encode(), dir_fd=directory)
    finally:
        os.close(directory)

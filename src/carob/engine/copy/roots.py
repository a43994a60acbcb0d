"""The root file system of a pod's app, opened from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from carob.engine.observe import processes
from carob.engine.observe.owners import SAME, Owners, of_plan, of_process
from carob.engine.observe.plan import read_plan
from carob.errors import CarobError, Conflict, Unsupported
from carob.image.files.rooted import DIRECTORY, open_in_root
from carob.linux import mount
from carob.linux.pidfd import has_ended, open_pidfd
from carob.pod import State
from carob.protocol import plan as plans

if TYPE_CHECKING:
    from typing import Any

    from carob.pod import Pod

_READ_ONLY = mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOSUID


@contextmanager
def opened(pod: Pod, app: str, *, writing: bool) -> Iterator[tuple[int, Owners]]:
    """Within the block, an app's root and how its owners look from here.

    Of an app that runs, it is what its first process sees, volumes included; of another, its root file system
    alone. Raises ``Conflict`` for ``writing`` where the pod does not run.
    """
    running = pod.refresh() is State.RUNNING
    if writing and not running:
        raise Conflict(f"pod {pod.uuid} does not run: it is {pod.state()}", hint="a pod runs once")
    fd, owners = _of_running(pod, app) if running else _of_ended(pod, app)
    try:
        yield fd, owners
    finally:
        os.close(fd)


def _of_running(pod: Pod, app: str) -> tuple[int, Owners]:
    pids = processes.by_app(pod, [app])[app]
    for pid in pids[:1]:
        found = _root_of(pid)
        if found is None:
            break
        try:
            if pid in processes.by_app(pod, [app])[app]:
                return found
        except BaseException:
            os.close(found[0])
            raise
        os.close(found[0])
    init = processes.init_pid(pod)
    found = _root_of(init)
    if found is None:
        raise Conflict(f"pod {pod.uuid} ended meanwhile")
    top, owners = found
    try:
        plan = read_plan(pod)
        if "owners" in plan:  # which init is not among
            owners = of_plan(plan)[0]
        return open_in_root(top, f"{plans.ROOTFS_AT[1:]}/{app}".encode()), owners
    finally:
        os.close(top)


def _root_of(pid: int) -> tuple[int, Owners] | None:
    """The root of the process that has this number now; ``None`` where it ended meanwhile."""
    pidfd = open_pidfd(pid)
    try:
        if pidfd is None:
            return None
        fd = os.open(f"/proc/{pid}/root", DIRECTORY)
        try:
            owners = of_process(pid)
            if not has_ended(pidfd):
                return fd, owners
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return None
    except (FileNotFoundError, ProcessLookupError):
        return None
    finally:
        if pidfd is not None:
            os.close(pidfd)


def _of_ended(pod: Pod, app: str) -> tuple[int, Owners]:
    """The app's files put together again, read-only and seen by nobody else."""
    rootfs = _plan_of(pod, app)["rootfs"]
    owners = of_plan(read_plan(pod))[1]
    base = f"/proc/self/fd/{pod.fd()}"
    if "directory" in rootfs:
        return os.open(os.path.join(base, rootfs["directory"]), DIRECTORY), SAME
    opened_layers = []
    try:
        for path in (os.path.join(base, rootfs["upper"]), *rootfs["lower"]):
            opened_layers.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        layers: list[tuple[str, str | None]] = [
            ("lowerdir+", f"/proc/self/fd/{descriptor}") for descriptor in opened_layers
        ]
        return _mounted(layers, str(pod.uuid)), owners
    finally:
        for descriptor in opened_layers:
            os.close(descriptor)


def _mounted(layers: list[tuple[str, str | None]], uuid: str) -> int:
    try:
        detached = mount.new("overlay", layers, _READ_ONLY, "carob")
    except OSError as error:
        raise Unsupported(
            f"the files of pod {uuid}, which does not run, cannot be put together: {error.strerror}",
            hint="this takes root and Linux 6.5; carob export does without",
        ) from error
    try:
        return os.open(f"/proc/self/fd/{detached}", DIRECTORY)  # what fsmount gives is a bare path
    finally:
        os.close(detached)


def _plan_of(pod: Pod, app: str) -> dict[str, Any]:
    for one in read_plan(pod)["apps"]:
        if one["name"] == app:
            found: dict[str, Any] = one
            return found
    raise CarobError(f"the plan of pod {pod.uuid} has no app {app!r}")

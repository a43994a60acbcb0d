"""``Pod``: one pod directory, its state as last seen, and its lock.

As in rkt's package: what a pod object says of its state is what was seen when it was opened, refreshed,
waited for or changed; methods that look again say so. Files are read when asked for, through the open
directory, so a pod that moves meanwhile is read all the same.
"""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.linux.flock import EXCLUSIVE, UNLOCKED, FileLock
from carob.pod import directory as _directory
from carob.pod.state import (
    State,
    directory_of,
    is_after_run,
    is_finished,
    is_manifest_available,
    state_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

    from carob.pod.netinfo import NetInfo
    from carob.spec.appc.image import ImageManifest
    from carob.spec.appc.pod import PodManifest


class Pod:
    """A pod and its life. Close it, or use it in a ``with`` block. Not for several threads at once.

    ``uuid`` is the identifier in canonical form. ``mount_label`` is the SELinux label for the pod's
    files; carob carries it and relabels nothing.

    In a child forked without exec a pod object holds no lock, and the child is not its creator.

    Where a file cannot be read, methods raise ``NotFound`` (not there, or the pod is gone),
    ``PermissionDenied``, ``CorruptData`` (not what its format says), ``OutOfResources`` or
    ``Unavailable``; where the object is closed, ``InvalidInput``.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_created_by_me",
        "_data_dir",
        "_lock",
        "_manifest_lock",
        "_mutable",
        "_nets",
        "_state",
        "mount_label",
        "uuid",
    )

    def __init__(
        self,
        data_dir: str,
        uuid: str,
        state: State,
        *,
        created_by_me: bool = False,
    ) -> None:
        """Used by this package; see ``open_pod``, ``pod_from_uuid_string``, ``new_pod`` and ``walk_pods``."""
        self.uuid = uuid
        self.mount_label = ""
        self._data_dir = data_dir
        self._state = state
        self._created_by_me = created_by_me
        self._mutable = False
        self._closed = False
        self._lock: FileLock | None = None
        self._manifest_lock: FileLock | None = None
        self._nets: tuple[NetInfo, ...] | None = None

    def __repr__(self) -> str:
        return f"<Pod {self.uuid} {self._state}>"

    def __enter__(self) -> Pod:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # State, as last seen

    def state(self) -> State:
        """The state as last seen."""
        return self._state

    def path(self) -> str:
        """The path of the pod's directory as last seen; ``""`` for a pod that is gone."""
        directory = directory_of(self._state)
        return "" if directory is None else _directory.pod_path(self._data_dir, directory, self.uuid)

    def is_finished(self) -> bool:
        """Whether the pod does not run and never will."""
        return is_finished(self._state)

    def is_after_run(self) -> bool:
        """Whether the pod is past running, and not gone; never-run garbage counts, as in rkt."""
        return is_after_run(self._state)

    def pod_manifest_available(self) -> bool:
        """Whether a manifest can be expected in this state."""
        return is_manifest_available(self._state)

    def is_mutable(self) -> bool:
        """Whether the last ``sandbox_manifest`` found that the manifest may change."""
        return self._mutable

    def refresh(self) -> State:
        """Looks where the pod is now, and whether it is locked. A lock that this object holds stays."""
        lock = self._lock if self._lock is not None and self._lock.held == EXCLUSIVE else None
        found, locked = _directory.locate(self._data_dir, self.uuid, lock=lock)
        self._saw(state_of(found, locked=locked))
        return self._state

    def _saw(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self._nets = None

    # The lock of the whole pod

    def _open(self) -> FileLock:
        if self._closed:
            raise InvalidInput(f"pod {self.uuid} is closed", hint="open it again")
        if self._lock is None:
            self._lock = _directory.open_lock(self._data_dir, self.uuid, directory_of(self._state))
        return self._lock

    def fd(self) -> int:
        """The descriptor of the pod's directory, opened now where it was not; it belongs to this object."""
        return self._open().fd()

    def held(self) -> str:
        """Which lock this object holds: ``"unlocked"``, ``"shared"`` or ``"exclusive"``."""
        return UNLOCKED if self._lock is None else self._lock.held

    def try_exclusive_lock(self) -> bool:
        """Takes the exclusive lock if it is free at once; whether this object holds it now.

        In ``run`` and ``prepare`` that makes the pod running or preparing for everybody who looks: take
        it there only to be just that. Raises ``Conflict`` while this object holds a shared lock:
        converting a lock can lose it.
        """
        return self._open().try_exclusive_lock()

    def exclusive_lock(self) -> None:
        """Takes the exclusive lock, waiting for it as long as it takes. See ``try_exclusive_lock``."""
        self._open().exclusive_lock()

    def try_shared_lock(self) -> bool:
        """Takes a shared lock if nobody holds the exclusive one; whether this object holds it now.

        Raises ``Conflict`` while this object holds the exclusive lock.
        """
        return self._open().try_shared_lock()

    def shared_lock(self) -> None:
        """Takes a shared lock, waiting for it as long as it takes. See ``try_shared_lock``."""
        self._open().shared_lock()

    def unlock(self) -> None:
        """Lets go of the lock. The state as last seen is changed by that only at the next ``refresh``."""
        if self._lock is not None:
            self._lock.unlock()

    def close(self) -> None:
        """Lets go of the locks and closes the descriptors. May be called again."""
        self._closed = True
        for lock in (self._manifest_lock, self._lock):
            if lock is not None:
                lock.close()

    # Transitions

    def to_preparing(self) -> None:
        """embryo → preparing; leaves the pod locked. Only its creator may. ``new_pod`` has done it.

        This and the other transitions look at the pod anew, never replace anything, and are durable
        when they return. They raise ``LostRace``, with the state seen, where another was quicker since
        this object last looked, and ``Conflict`` where the pod cannot make the transition.
        """
        from carob.pod import transition

        transition.to_preparing(self)

    def to_prepared(self, *, durable: bool = True) -> None:
        """preparing → prepared; leaves the pod unlocked. Only its creator may, holding the lock.

        Not ``durable`` is for a pod that is run at once and by nobody else: a power loss may then leave it
        prepared, and not whole.
        """
        from carob.pod import transition

        transition.to_prepared(self, durable=durable)

    def to_run(self, *, lock_timeout_s: float = 1.0) -> None:
        """prepared → running; leaves the pod locked. Its creator may also go there from preparing.

        Others that look at the pod, or race for it, can hold its lock for an instant: that is waited
        out for ``lock_timeout_s``, and ends at once with ``LostRace`` when the pod leaves ``prepared``.
        """
        from carob.pod import transition

        transition.to_run(self, lock_timeout_s)

    def to_exited_garbage(self) -> None:
        """exited → exited garbage, which starts the grace period before it is deleted."""
        from carob.pod import transition

        transition.to_exited_garbage(self)

    def to_garbage(self, *, lock_timeout_s: float = 1.0) -> None:
        """aborted prepare or prepared → garbage."""
        from carob.pod import transition

        transition.to_garbage(self, lock_timeout_s)

    # Manifests

    def pod_manifest(self) -> tuple[bytes, PodManifest]:
        """The pod manifest, as it is in the file and as a value."""
        from carob.pod import manifest

        return manifest.pod_manifest(self)

    def sandbox_manifest(self) -> PodManifest:
        """The manifest of a mutable pod; ``ImmutablePod`` if it may not change. Sets ``is_mutable``."""
        from carob.pod import manifest

        return manifest.sandbox_manifest(self)

    def update_manifest(self, new: PodManifest, path: str | None = None) -> None:
        """Replaces the manifest, atomically and durably; the file's mode stays.

        ``path`` is the pod directory to write to, and need not be given. ``sandbox_manifest`` must have
        been called before (else ``ImmutablePod``). Whoever changes what was read holds
        ``exclusive_lock_manifest`` from before the reading; the writing alone takes the lock where this
        object does not hold it.
        """
        from carob.pod import manifest

        manifest.update_manifest(self, new, path)

    def exclusive_lock_manifest(self) -> None:
        """Takes the lock of the manifest alone, waiting for it. Holding it already is fine."""
        from carob.pod import manifest

        manifest.lock(self)

    def unlock_manifest(self) -> None:
        """Lets go of the lock of the manifest; nothing where it is not held."""
        lock, self._manifest_lock = self._manifest_lock, None
        if lock is not None:
            lock.close()

    def app_image_manifest(self, app_name: str) -> ImageManifest:
        """The image manifest of an app. Raises ``InvalidInput`` for what cannot be an app's name."""
        from carob.pod import manifest

        return manifest.app_image_manifest(self, app_name)

    # Files of the pod

    @property
    def nets(self) -> tuple[NetInfo, ...]:
        """The networks of a running or ended pod (name, interface, address); empty for host networking.

        Read at the first use and kept until the state changes.
        """
        if self._nets is None:
            from carob.pod import netinfo

            self._nets = netinfo.nets_of(self)
        return self._nets

    def pid(self) -> int:
        """The PID in the file ``pid``, or else in ``ppid``: the process that the pod began with."""
        from carob.pod import process

        return process.pid(self)

    def creation_time(self) -> datetime | None:
        """When the pod was made, in UTC; ``None`` before it is prepared and once it is gone."""
        from carob.pod import times

        return times.as_datetime(times.creation_time_ns(self))

    def start_time(self) -> datetime | None:
        """When the pod began to run, in UTC; ``None`` if it did not."""
        from carob.pod import times

        return times.as_datetime(times.start_time_ns(self))

    def gc_marked_time(self) -> datetime | None:
        """When the pod became garbage, in UTC; ``None`` if it is not, or is gone."""
        from carob.pod import times

        return times.as_datetime(times.gc_marked_time_ns(self))

    def creation_time_ns(self) -> int | None:
        """``creation_time`` in nanoseconds since 1970."""
        from carob.pod import times

        return times.creation_time_ns(self)

    def start_time_ns(self) -> int | None:
        """``start_time`` in nanoseconds since 1970."""
        from carob.pod import times

        return times.start_time_ns(self)

    def gc_marked_time_ns(self) -> int | None:
        """``gc_marked_time`` in nanoseconds since 1970."""
        from carob.pod import times

        return times.gc_marked_time_ns(self)

    def app_exit_code(self, app_name: str) -> int:
        """The exit code of an app that has ended; ``NotFound`` where none is recorded."""
        from carob.pod import tree

        return tree.app_exit_code(self, app_name)

    def uses_overlay(self) -> bool:
        """Whether the pod's file systems are overlays."""
        from carob.pod import tree

        return tree.uses_overlay(self)

    def get_stage1_tree_store_id(self) -> str:
        """The id of the unpacked stage1 image, as the file has it."""
        from carob.pod import tree

        return tree.stage1_tree_store_id(self)

    def get_app_tree_store_id(self, app_name: str) -> str:
        """The id of an app's unpacked image; ``""`` for a pod without overlay that has none."""
        from carob.pod import tree

        return tree.app_tree_store_id(self, app_name)

    def get_apps_tree_store_ids(self) -> list[str]:
        """The ids of the apps' unpacked images, in the manifest's order, without those that have none."""
        from carob.pod import tree

        return tree.apps_tree_store_ids(self)

    def stage1_rootfs_path(self) -> str:
        """The path of the root of the pod's own files, in the directory last seen."""
        from carob.pod import tree

        return tree.stage1_rootfs_path(self)

    def journal_log_path(self) -> str:
        """The path of the directory of the pod's journal, in the directory last seen."""
        from carob.pod import tree

        return tree.journal_log_path(self)

    def is_supervisor_ready(self) -> bool:
        """Whether the supervisor has said that it is ready; any trouble in finding out means no."""
        from carob.pod import tree

        return tree.is_supervisor_ready(self)

    def sync(self) -> None:
        """Writes back everything of the file system that the pod is on (syncfs(2))."""
        from carob.pod import tree

        tree.sync(self)

    # Waiting: woken by the kernel, never by a blocking lock, without a thread

    def wait_finished(self, *, timeout_s: float | None = None) -> State:
        """Waits until the pod is finished and returns its state. Raises ``TimedOut``."""
        from carob.pod import wait

        return wait.run(wait.Finished(self), timeout_s)

    def wait_ready(self, *, timeout_s: float | None = None) -> State:
        """Waits until the supervisor is ready and returns the state.

        Raises ``TimedOut``, and ``Conflict`` where the pod is finished and was never ready.
        """
        from carob.pod import wait

        return wait.run(wait.Ready(self), timeout_s)

    def container_pid1(self, *, timeout_s: float | None = None) -> int:
        """The host's PID of the pod's process 1; waits for it while the pod runs.

        Raises ``TimedOut``, and ``Conflict`` where the pod does not run and has no such process.
        """
        from carob.pod import wait

        return wait.run(wait.ContainerPid1(self), timeout_s)

    async def wait_finished_async(self, *, timeout_s: float | None = None) -> State:
        """``wait_finished`` on the running event loop. Cancelled, it leaves nothing behind."""
        from carob.pod import wait

        return await wait.run_async(wait.Finished(self), timeout_s)

    async def wait_ready_async(self, *, timeout_s: float | None = None) -> State:
        """``wait_ready`` on the running event loop. Cancelled, it leaves nothing behind."""
        from carob.pod import wait

        return await wait.run_async(wait.Ready(self), timeout_s)

    async def container_pid1_async(self, *, timeout_s: float | None = None) -> int:
        """``container_pid1`` on the running event loop. Cancelled, it leaves nothing behind."""
        from carob.pod import wait

        return await wait.run_async(wait.ContainerPid1(self), timeout_s)

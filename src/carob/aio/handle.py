"""A pod in the hand of a program with an event loop."""

from __future__ import annotations

from carob.aio import logs as outputs
from carob.aio import waits
from carob.aio.attachment import Attachment
from carob.aio.execution import Execution
from carob.engine.end import stop
from carob.engine.failures import Attempt
from carob.engine.observe.keeper import Deadline
from carob.engine.request import inputs
from carob.engine.sandbox.addition import Addition
from carob.engine.steer import execution
from carob.errors import TimedOut
from carob.pod import open_pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from types import TracebackType
    from typing import Unpack

    from carob.aio.port_forward import PortForward
    from carob.aio.steps import Steps
    from carob.engine.handle import PodEnd
    from carob.engine.handle import PodHandle as BlockingHandle
    from carob.engine.images.collection import Callback, ResolvedImage, Warn
    from carob.engine.observe.events import Event
    from carob.engine.observe.output import LogEntry
    from carob.engine.observe.status import PodStatus
    from carob.engine.request.options import AddOptions
    from carob.engine.request.pod import App
    from carob.engine.request.resources import Resources
    from carob.engine.steer.execution import Completed
    from carob.engine.usage.stats import PodStats
    from carob.engine.usage.top import ProcessInfo
    from carob.errors import CarobError


class PodHandle:
    """``carob.PodHandle`` for an event loop: a pod by its ``uuid``. It holds nothing open.

    In an ``async with`` block the pod's life is tied to this process: it is stopped and removed at the end
    of the block, also if the task is cancelled or the process dies in it.
    """

    def __init__(self, blocking: BlockingHandle, data_dir: str, steps: Steps) -> None:
        self.uuid = blocking.uuid
        self._blocking = blocking
        self._data_dir = data_dir
        self._steps = steps

    def __repr__(self) -> str:
        return f"<carob.aio.PodHandle {self.uuid}>"

    async def __aenter__(self) -> PodHandle:
        try:
            await self._steps.run(self._blocking.__enter__)
        except BaseException:
            await self._end_block()  # there will be no ``__aexit__``
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end_block()

    async def _end_block(self) -> None:
        await self._steps.carry_out(self._blocking.remove, force=True)

    # Its life

    async def run(self, *, tied: bool = False, timeout_s: float | None = None) -> None:
        """Runs a prepared pod; see ``carob.PodHandle.run``. Cancelled once it has begun, the pod runs."""
        await self._steps.run(self._blocking.run, tied=tied, timeout_s=timeout_s)

    async def wait(self, *, timeout_s: float | None = None) -> PodEnd:
        """Waits until the pod has ended and nothing of it runs; returns how. Raises ``TimedOut``."""
        await waits.over(self._data_dir, self.uuid, timeout_s=timeout_s)
        return await self._steps.run(self._blocking.wait)

    async def wait_ready(self, *, timeout_s: float | None = None) -> None:
        """Waits until all apps are ready; see ``carob.PodHandle.wait_ready``."""
        await waits.ready(self._data_dir, self.uuid, timeout_s=timeout_s)

    async def export(self, target: str | os.PathLike[str] | int, *, app: str = "") -> None:
        """Writes what an app sees as a tar; see ``carob.PodHandle.export``."""
        await self._steps.run(self._blocking.export, target, app=app)

    async def commit(self, name: str, *, app: str = "") -> ResolvedImage:
        """Makes an image of what an app sees; see ``carob.PodHandle.commit``."""
        return await self._steps.run(self._blocking.commit, name, app=app)

    async def copy_in(
        self,
        source: str | os.PathLike[str] | int,
        path: str,
        *,
        app: str | None = None,
        follow_links: bool = False,
    ) -> None:
        """Copies into an app of a running pod; see ``carob.PodHandle.copy_in``."""
        await self._steps.run(self._blocking.copy_in, source, path, app=app, follow_links=follow_links)

    async def copy_out(
        self,
        path: str,
        target: str | os.PathLike[str] | int,
        *,
        app: str | None = None,
        follow_links: bool = False,
    ) -> None:
        """Copies out of an app; see ``carob.PodHandle.copy_out``."""
        await self._steps.run(self._blocking.copy_out, path, target, app=app, follow_links=follow_links)

    # Apps that come and go, in a mutable pod

    async def add(self, app: App, **options: Unpack[AddOptions]) -> str:
        """Adds an app, created and not yet started; see ``carob.PodHandle.add``. Cancelled, it adds none."""
        return await self.add_request(Addition(app, **options))

    async def add_request(
        self, addition: Addition, *, fetching: Callback | None = None, warn: Warn | None = None
    ) -> str:
        """``add`` for an addition made before; ``fetching`` and ``warn`` are called from other threads."""
        return await self._steps.run_or_undo(
            lambda: self._blocking.add_request(addition, fetching=fetching, warn=warn),
            lambda name: self._blocking.remove_app(name, force=True),
        )

    async def start_app(self, name: str) -> None:
        """Starts an app; see ``carob.PodHandle.start_app``."""
        await self._steps.run(self._blocking.start_app, name)

    async def stop_app(self, name: str, *, grace_s: float | None = None) -> None:
        """Ends an app; see ``carob.PodHandle.stop_app``."""
        await self._steps.run(self._blocking.stop_app, name, grace_s=grace_s)

    async def remove_app(self, name: str, *, force: bool = False) -> None:
        """Removes an app; see ``carob.PodHandle.remove_app``. Cancelled, it is carried through."""
        await self._steps.run(self._blocking.remove_app, name, force=force)

    async def reopen_log(self, name: str) -> None:
        """Has an app's log go on in a new file; see ``carob.PodHandle.reopen_log``."""
        await self._steps.run(self._blocking.reopen_log, name)

    async def update(self, resources: Resources, *, app: str | None = None) -> None:
        """Changes the limits of a running app, or of the pod; see ``carob.PodHandle.update``."""
        await self._steps.run(self._blocking.update, resources, app=app)

    async def stop(self, *, grace_s: float | None = None, timeout_s: float | None = None) -> None:
        """Asks the apps to end, kills them after the grace (by default the pod's), returns when it is over.

        Cancelled after the apps were asked, it ends at once; the pod stops all the same.
        """
        patience_s = await self._steps.run(self._ask_to_stop, grace_s, timeout_s)
        if patience_s is None:
            return
        try:
            await waits.over(self._data_dir, self.uuid, timeout_s=patience_s)
        except TimedOut:
            await self.kill()

    def _ask_to_stop(self, grace_s: float | None, timeout_s: float | None) -> float | None:
        with (
            Attempt(f"pod {self.uuid} cannot be stopped", self.uuid),
            open_pod(self._data_dir, self.uuid) as pod,
        ):
            return stop.ask_to_stop(pod, grace_s=grace_s, timeout_s=timeout_s)

    async def kill(self) -> None:
        """Ends the pod at once and returns when it is over."""
        await self._steps.run(self._blocking.kill)

    async def signal(self, number: int, *, app: str | None = None) -> None:
        """Sends a signal to the first process of an app, or of each app that runs."""
        await self._steps.run(self._blocking.signal, number, app=app)

    async def pause(self, *, app: str | None = None) -> None:
        """Freezes an app, or each that runs; see ``carob.PodHandle.pause``."""
        await self._steps.run(self._blocking.pause, app=app)

    async def resume(self, *, app: str | None = None) -> None:
        """Lets a paused app go on, or each; one that is not paused is fine."""
        await self._steps.run(self._blocking.resume, app=app)

    async def restart(self, *, app: str | None = None, grace_s: float | None = None) -> None:
        """Ends an app, or each but init apps, and starts it anew; see ``carob.PodHandle.restart``."""
        await self._steps.run(self._blocking.restart, app=app, grace_s=grace_s)

    async def remove(self, *, force: bool = False) -> None:
        """Takes the pod away; a running one only with ``force``. One that is gone is fine."""
        await self._steps.run(self._blocking.remove, force=force)

    # What is known of it

    async def status(self) -> PodStatus:
        """The pod as it is now; ``NotFound`` once it is gone."""
        return await self._steps.run(self._blocking.status)

    async def check_networks(self) -> dict[str, CarobError]:
        """What is wrong with its networks, by interface; see ``carob.PodHandle.check_networks``."""
        return await self._steps.run(self._blocking.check_networks)

    async def timeline(self) -> list[Event]:
        """What has happened to the pod; see ``carob.PodHandle.timeline``."""
        return await self._steps.run(self._blocking.timeline)

    async def top(self, *apps: str) -> list[ProcessInfo]:
        """The processes of these apps, by default all; see ``carob.PodHandle.top``."""
        return await self._steps.run(self._blocking.top, *apps)

    async def stats(self) -> PodStats:
        """What the pod and each of its apps use now; see ``carob.PodHandle.stats``."""
        return await self._steps.run(self._blocking.stats)

    def follow_stats(self, *, interval_s: float = 1.0) -> AsyncGenerator[PodStats, None]:
        """``stats`` again and again; ends with the pod. For ``async for``."""
        from carob.aio import stats

        return stats.follow(self._data_dir, self.uuid, self._steps, interval_s=interval_s)

    def logs(
        self,
        app: str | None = None,
        *,
        tail: int | None = None,
        since_ns: int = 0,
        until_ns: int | None = None,
    ) -> outputs.Logs:
        """What an app, or the only one, wrote: ``await pod.logs().text()``."""
        return outputs.Logs(
            lambda: self._blocking.logs(app, tail=tail, since_ns=since_ns, until_ns=until_ns),
            self._steps,
        )

    def follow_logs(
        self, *apps: str, tail: int | None = None, since_ns: int = 0, until_ns: int | None = None
    ) -> AsyncGenerator[tuple[str, LogEntry], None]:
        """(app, entry) as these apps, by default all, write; ends with the pod. For ``async for``.

        Who leaves the loop early closes the generator: ``contextlib.aclosing``.
        """
        return outputs.follow(
            self._data_dir, self.uuid, apps, self._steps, tail=tail, since_ns=since_ns, until_ns=until_ns
        )

    def log_batches(
        self,
        *apps: str,
        tail: int | None = None,
        since_ns: int = 0,
        until_ns: int | None = None,
        follow: bool = True,
        until_ended: bool = False,
    ) -> AsyncGenerator[list[tuple[str, LogEntry]], None]:
        """``follow_logs`` by what is there at a time, for who passes much output on.

        Without ``follow`` it ends with what is there now, with ``until_ended`` when these apps have ended,
        though the pod goes on. ``NotFound`` for an app that is not in the pod.
        """
        return outputs.batches(
            self._data_dir,
            self.uuid,
            apps,
            self._steps,
            tail=tail,
            since_ns=since_ns,
            until_ns=until_ns,
            follow=follow,
            until_ended=until_ended,
        )

    async def manifest(self) -> bytes:
        """The pod manifest, as it is on disk."""
        return await self._steps.run(self._blocking.manifest)

    async def port_forward(self, *ports: str) -> PortForward:
        """Has ports here lead into the running pod; see ``carob.PodHandle.port_forward``."""
        from carob.aio.port_forward import PortForward

        made = await self._steps.run_or_undo(
            lambda: self._blocking.port_forward(*ports), lambda forward: forward.close()
        )
        return PortForward(made, self._steps)

    # Its apps' input, and more processes

    async def input_modes(self) -> dict[str, str]:
        """How each app reads, by its name: ``null``, ``stream`` or ``tty``."""
        return await self._steps.run(self._blocking.input_modes)

    async def attach(self, *, app: str | None = None, once: bool = False) -> Attachment:
        """The input of an app, or of the only one; see ``carob.PodHandle.attach``."""
        return Attachment(
            await self._steps.run_or_undo(
                lambda: self._blocking.attach(app=app, once=once), lambda attached: attached.close()
            )
        )

    async def start(
        self,
        argv: Sequence[str],
        *,
        app: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: tuple[int, int] | None = None,
        tty: bool = False,
        size: tuple[int, int] | None = None,
        timeout_s: float | None = None,
    ) -> Execution:
        """Starts one more process in an app and leaves its streams to the caller; see ``exec``.

        Raises ``TimedOut`` where it does not run after ``timeout_s``, by default 30 s.
        """
        running = await self._steps.run_or_undo(
            lambda: self._blocking.start(
                argv, app=app, env=env, cwd=cwd, user=user, tty=tty, size=size, timeout_s=timeout_s
            ),
            lambda started: started.close(),
        )
        with Attempt(f"pod {self.uuid} cannot be entered", self.uuid):
            try:
                return Execution(running)
            except BaseException:
                running.close()
                raise

    async def exec(
        self,
        argv: Sequence[str],
        *,
        app: str | None = None,
        input: bytes | str | None = None,  # noqa: A002 - subprocess's word
        text: bool = False,
        check: bool = False,
        timeout_s: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: tuple[int, int] | None = None,
    ) -> Completed:
        """Runs ``argv`` in an app to its end; see ``carob.PodHandle.exec``.

        Cancelled, as after ``timeout_s``, it kills the process.
        """
        data, deadline = inputs.payload(input, "input"), Deadline(timeout_s)
        started = await self.start(argv, app=app, env=env, cwd=cwd, user=user, timeout_s=timeout_s)
        async with started as running:
            try:
                captured = await running.communicate(data, timeout_s=deadline.left_s())
            except BaseException:
                running.kill()
                raise
            end = await running.wait()
        return execution.completed(running.args, end, captured, text=text, check=check)

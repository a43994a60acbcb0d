"""``Engine``: the pods and images of one data directory, as coroutines."""

from __future__ import annotations

from carob.aio.handle import PodHandle
from carob.aio.images import Images
from carob.aio.steps import Steps
from carob.aio.volumes import Volumes
from carob.engine.engine import Engine as BlockingEngine
from carob.engine.launch.supervision import silent
from carob.engine.request import inputs
from carob.engine.request.pod import App, PodRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Unpack

    from carob.engine.doctor import Check
    from carob.engine.end.collect import Collection
    from carob.engine.handle import PodHandle as BlockingHandle
    from carob.engine.images.collection import Callback, Warn
    from carob.engine.launch.supervision import Progress
    from carob.engine.networks import NetworkConfiguration
    from carob.engine.observe.events import Event
    from carob.engine.observe.pods import PodSummary
    from carob.engine.observe.status import PodStatus
    from carob.engine.request.options import PodOptions
    from carob.engine.usage.stats import PodStats
    from carob.pod import BrokenPod


class Engine:
    """``carob.Engine`` for an event loop: the same arguments, verbs and errors.

    Its threads end with it, at the end of an ``async with`` block, or with ``close``. Several loops may use
    one engine.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        python: str | None = None,
        launcher: Sequence[str] = (),
        standby: int = 0,
        max_threads: int = 16,
        image_limits: Mapping[str, float] | None = None,
    ) -> None:
        self._blocking = BlockingEngine(
            data_dir, python=python, launcher=launcher, standby=standby, image_limits=image_limits
        )
        self._steps = Steps(inputs.whole(max_threads, "max_threads", 1, 10_000))
        self.data_dir = self._blocking.data_dir
        self.images = Images(self._blocking.images, self._steps)
        self.volumes = Volumes(self._blocking.volumes, self._steps)

    def __repr__(self) -> str:
        return f"carob.aio.Engine({self.data_dir!r})"

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the engine's threads, once their steps have ended, and what stands by. Pods are left alone."""
        await self._steps.close()
        self._blocking.close()

    async def run(
        self,
        *apps: App,
        tied: bool = False,
        timeout_s: float | None = None,
        **options: Unpack[PodOptions],
    ) -> PodHandle:
        """Makes a pod of these apps and runs it; see ``carob.Engine.run``.

        Cancelled, it ends when the pod has been removed. A cancelled ``run`` waits until the pod is up, so
        give a ``timeout_s`` where that could be long.
        """
        return await self.run_request(PodRequest(apps, **options), tied=tied, timeout_s=timeout_s)

    async def run_request(
        self,
        request: PodRequest,
        *,
        tied: bool = False,
        timeout_s: float | None = None,
        progress: Progress = silent,
        fetching: Callback | None = None,
        warn: Warn | None = None,
    ) -> PodHandle:
        """``run`` for a request made before; ``progress``, ``fetching`` and ``warn`` are called from other
        threads.
        """
        handle = await self._steps.run_or_undo(
            lambda: self._blocking.run_request(
                request,
                tied=tied,
                timeout_s=timeout_s,
                progress=progress,
                fetching=fetching,
                warn=warn,
            ),
            _remove,
        )
        return PodHandle(handle, self.data_dir, self._steps)

    async def sandbox(
        self, *, tied: bool = False, timeout_s: float | None = None, **options: Unpack[PodOptions]
    ) -> PodHandle:
        """Makes a mutable pod and runs it; see ``carob.Engine.sandbox``. Cancelled, it leaves none."""
        wanted = PodRequest((), mutable=True, **options)
        return await self.run_request(wanted, tied=tied, timeout_s=timeout_s)

    async def prepare(self, *apps: App, **options: Unpack[PodOptions]) -> PodHandle:
        """Makes a pod of these apps, to be run later with ``PodHandle.run``. Cancelled, it leaves none."""
        return await self.prepare_request(PodRequest(apps, **options))

    async def prepare_request(
        self, request: PodRequest, *, fetching: Callback | None = None, warn: Warn | None = None
    ) -> PodHandle:
        """``prepare`` for a request made before; the rest as for ``run_request``."""
        handle = await self._steps.run_or_undo(
            lambda: self._blocking.prepare_request(request, fetching=fetching, warn=warn), _remove
        )
        return PodHandle(handle, self.data_dir, self._steps)

    def handle(self, uuid: str) -> PodHandle:
        """A handle for a whole uuid; whether there is such a pod shows when it is used."""
        return PodHandle(self._blocking.handle(uuid), self.data_dir, self._steps)

    async def get(self, uuid: str) -> PodHandle:
        """The pod with this uuid, or the one whose uuid begins so; see ``carob.Engine.get``."""
        return self.handle((await self._steps.run(self._blocking.get, uuid)).uuid)

    async def summaries(
        self, broken: Callable[[BrokenPod], object] | None = None, *, times: bool = False
    ) -> list[PodSummary]:
        """What the manifests tell of the pods; see ``carob.Engine.summaries``.

        ``broken`` is called in one of the engine's threads.
        """
        return await self._steps.run(lambda: [*self._blocking.summaries(broken, times=times)])

    async def doctor(self, *, runtime: str = "") -> list[Check]:
        """What this host can and cannot do; see ``carob.Engine.doctor``."""
        return await self._steps.run(self._blocking.doctor, runtime=runtime)

    def events(self, *, since_ns: int | None = None, follow: bool = True) -> AsyncGenerator[Event, None]:
        """What happens to pods, as it happens; see ``carob.Engine.events``. For ``async for``."""
        from carob.aio import events

        return events.follow(self.data_dir, self._steps, since_ns=since_ns, until_now=not follow)

    async def stats(self) -> list[PodStats]:
        """What each running pod uses now; see ``carob.Engine.stats``."""
        return await self._steps.run(self._blocking.stats)

    async def list(self) -> list[PodStatus]:
        """The status of every pod; see ``carob.Engine.list``."""
        return await self._steps.run(self._blocking.list)

    async def networks(
        self, broken: Callable[[str], object] | None = None
    ) -> tuple[NetworkConfiguration, ...]:
        """The networks that pods can be put on; see ``carob.Engine.networks``."""
        return await self._steps.run(self._blocking.networks, broken)

    async def gc(
        self, *, grace_s: float = 1800.0, expire_prepared_s: float = 86400.0, mark_only: bool = False
    ) -> Collection:
        """One pass of garbage collection; see ``carob.Engine.gc``. Cancelled, the pass is carried through."""
        return await self._steps.run(
            self._blocking.gc, grace_s=grace_s, expire_prepared_s=expire_prepared_s, mark_only=mark_only
        )


def _remove(handle: BlockingHandle) -> None:
    handle.remove(force=True)

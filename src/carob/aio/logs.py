"""What the apps of a pod wrote, as coroutines: read in a thread, or followed on the loop."""

from __future__ import annotations

from carob.aio.waits import readable
from carob.engine.failures import Attempt
from carob.engine.observe import status
from carob.engine.observe.output import BOTH, Following
from carob.engine.request import inputs
from carob.errors import NotFound
from carob.pod import open_pod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from carob.aio.steps import Steps
    from carob.engine.observe.output import LogEntry
    from carob.engine.observe.output import Logs as BlockingLogs
    from carob.pod import Pod


class Logs:
    """The output of one app, read anew at each call."""

    def __init__(self, read: Callable[[], BlockingLogs], steps: Steps) -> None:
        self._read = read
        self._steps = steps

    async def entries(self, streams: Sequence[str] = BOTH) -> list[LogEntry]:
        """The entries up to now, oldest first, with time, stream and bytes."""
        return await self._steps.run(lambda: list(self._read().entries(streams)))

    async def bytes(self, streams: Sequence[str] = BOTH) -> bytes:
        """Exactly what the app wrote."""
        return await self._steps.run(lambda: self._read().bytes(streams))

    async def text(
        self, streams: Sequence[str] = BOTH, *, encoding: str = "utf-8", errors: str = "replace"
    ) -> str:
        """What the app wrote, as text."""
        return (await self.bytes(streams)).decode(encoding, errors)


async def follow(
    data_dir: str,
    uuid: str,
    apps: Sequence[str],
    steps: Steps,
    *,
    tail: int | None,
    since_ns: int,
    until_ns: int | None,
) -> AsyncGenerator[tuple[str, LogEntry], None]:
    """(app, entry) as these apps, by default all, write; ends with the pod."""
    found = batches(data_dir, uuid, apps, steps, tail=tail, since_ns=since_ns, until_ns=until_ns)
    try:
        async for batch in found:
            for one in batch:
                yield one
    finally:
        await found.aclose()


async def batches(
    data_dir: str,
    uuid: str,
    apps: Sequence[str],
    steps: Steps,
    *,
    tail: int | None,
    since_ns: int,
    until_ns: int | None,
    follow: bool = True,
    until_ended: bool = False,
) -> AsyncGenerator[list[tuple[str, LogEntry]], None]:
    """``follow``, with what is there at a time in one list; none is empty. Files are read in a thread.

    Without ``follow`` it ends where it would wait; with ``until_ended`` when the apps have ended.
    """

    def begin() -> tuple[Pod, Following]:
        pod = open_pod(data_dir, uuid)
        try:
            names = status.app_names(pod)
            for app in apps:
                if inputs.text(app, "an app's name") not in names:
                    hint = f"its apps: {', '.join(names) or 'none'}"
                    raise NotFound(f"pod {uuid} has no app {app!r}", hint=hint)
            return pod, Following(
                pod,
                apps or names,
                tail=tail,
                since_ns=since_ns,
                until_ns=until_ns,
                until_ended=until_ended,
            )
        except BaseException:
            pod.close()
            raise

    with Attempt(f"pod {uuid} cannot be followed", uuid):
        pod, following = await steps.run_or_undo(begin, _end)
        try:
            while not following.over:
                if batch := await steps.run(following.take):
                    yield batch
                elif not follow:
                    return
                elif not following.over:
                    await readable(following.descriptors(), timeout_s=following.look_again_s)
                    following.heard()
        finally:
            _end((pod, following))


def _end(opened: tuple[Pod, Following]) -> None:
    pod, following = opened
    following.close()
    pod.close()

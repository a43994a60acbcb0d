"""What the apps of a pod wrote: read from their log files, or followed as they grow."""

from __future__ import annotations

import os

from carob.engine.keeper import keepers
from carob.errors import NotFound
from carob.linux.pidfd import has_ended
from carob.protocol import plan as plans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from carob.logs.entry import LogEntry
    from carob.pod import Pod

BOTH = ("stdout", "stderr")
_SUFFIX = ".log"


class Logs:
    """The output of one app, read anew at each call."""

    def __init__(self, pod: Pod, app: str, *, tail: int | None = None, since_ns: int = 0) -> None:
        self._pod = pod
        self._app = app
        self._tail = tail
        self._since_ns = since_ns

    def entries(self, streams: Sequence[str] = BOTH) -> Iterator[LogEntry]:
        """The entries up to now, oldest first, with time, stream and bytes."""
        from carob.logs.reader import read_entries

        directory = _open(self._pod)
        try:
            yield from read_entries(
                directory, self._app + _SUFFIX, streams=streams, since_ns=self._since_ns, tail=self._tail
            )
        finally:
            os.close(directory)

    def bytes(self, streams: Sequence[str] = BOTH) -> bytes:
        """Exactly what the app wrote."""
        return b"".join([entry.output for entry in self.entries(streams)])

    def text(self, streams: Sequence[str] = BOTH, *, encoding: str = "utf-8", errors: str = "replace") -> str:
        """What the app wrote, as text."""
        return self.bytes(streams).decode(encoding, errors)


def _open(pod: Pod) -> int:
    try:
        return os.open(plans.LOG_DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=pod.fd())
    except FileNotFoundError:
        raise NotFound(f"pod {pod.uuid} has no logs") from None


def follow(
    pod: Pod,
    apps: Sequence[str],
    *,
    streams: Sequence[str] = BOTH,
    since_ns: int = 0,
    tail: int | None = None,
) -> Iterator[tuple[str, LogEntry]]:
    """Yields (app, entry) as the apps write, until the pod has ended and all was told.

    One thread for all apps of the pod; woken by the kernel.
    """
    from carob.logs.follow import follow as follow_files
    from carob.logs.watch import LogWatch

    directory = _open(pod)
    init = _Init(pod)
    try:
        names = [app + _SUFFIX for app in apps]
        with LogWatch(directory, init.descriptors()) as watch:
            entries = follow_files(
                directory, names, init.ended, watch.wait, streams=streams, since_ns=since_ns, tail=tail
            )
            for name, entry in entries:
                yield name.removesuffix(_SUFFIX), entry
    finally:
        init.close()
        os.close(directory)


class _Init:
    """Whether more can be written: only init writes the logs, so its end is theirs."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._pidfd = self._find()

    def _find(self) -> int | None:
        init, _ = keepers(self._pod)
        return init.open() if init is not None else None

    def descriptors(self) -> tuple[int, ...]:
        """Init's pidfd, where it is there already."""
        return () if self._pidfd is None else (self._pidfd,)

    def ended(self) -> bool:
        """Looks at init, and at the pod where there is none yet."""
        if self._pidfd is None:
            self._pidfd = self._find()
        if self._pidfd is None:
            self._pod.refresh()
            return self._pod.is_finished()
        return has_ended(self._pidfd)

    def close(self) -> None:
        """Lets go of init."""
        if self._pidfd is not None:
            os.close(self._pidfd)

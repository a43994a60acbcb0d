"""What the apps of a pod wrote: read from their log files, or followed as they grow."""

from __future__ import annotations

import os
from time import time_ns

from carob.engine.failures import Attempt
from carob.engine.observe.keeper import keepers
from carob.engine.observe.log_places import SUFFIX, close_places, open_places
from carob.engine.request import inputs
from carob.errors import CarobError, InvalidInput, NotFound
from carob.linux.pidfd import has_ended
from carob.pod import open_pod
from carob.protocol import plan as plans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from carob.logs.entry import LogEntry as LogEntry  # noqa: PLC0414 - shown by carob.aio
    from carob.logs.watch import LogWatch
    from carob.pod import Pod

BOTH = ("stdout", "stderr")
_STREAMS = (*BOTH, "malformed")
_MOST = (1 << 63) - 1


class Logs:
    """The output of one app, read anew at each call. It holds nothing open between calls.

    ``streams`` are some of ``stdout``, ``stderr`` and ``malformed``. ``NotFound`` once the pod is gone.
    """

    def __init__(
        self,
        data_dir: str,
        uuid: str,
        app: str,
        *,
        tail: int | None = None,
        since_ns: int = 0,
        until_ns: int | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._uuid = uuid
        self._app = app
        self._tail = checked_tail(tail)
        self._since_ns = checked_since_ns(since_ns)
        self._until_ns = checked_until_ns(until_ns)

    def entries(self, streams: Sequence[str] = BOTH) -> Iterator[LogEntry]:
        """The entries up to now, oldest first, with time, stream and bytes; their file is open meanwhile."""
        from carob.logs.reader import read_entries

        chosen = _checked_streams(streams)
        with Attempt(f"the log of pod {self._uuid} cannot be read", self._uuid):
            with open_pod(self._data_dir, self._uuid) as pod:
                elsewhere = open_places(pod, [self._app])
                directory, name = elsewhere.pop(self._app + SUFFIX, (-1, self._app + SUFFIX))
                if directory < 0:
                    directory = _open(pod)
            try:
                yield from read_entries(
                    directory,
                    name,
                    streams=chosen,
                    since_ns=self._since_ns,
                    until_ns=self._until_ns,
                    tail=self._tail,
                )
            finally:
                os.close(directory)

    def bytes(self, streams: Sequence[str] = BOTH) -> bytes:
        """Exactly what the app wrote."""
        return b"".join([entry.output for entry in self.entries(streams)])

    def text(self, streams: Sequence[str] = BOTH, *, encoding: str = "utf-8", errors: str = "replace") -> str:
        """What the app wrote, as text."""
        return self.bytes(streams).decode(encoding, errors)


def checked_tail(tail: int | None) -> int | None:
    """A number of lines. Raises ``InvalidInput``."""
    return None if tail is None else inputs.whole(tail, "tail", 0, _MOST)


def checked_since_ns(since_ns: int) -> int:
    """A time in nanoseconds since 1970. Raises ``InvalidInput``."""
    return inputs.whole(since_ns, "since_ns", -_MOST, _MOST)


def checked_until_ns(until_ns: int | None) -> int | None:
    """A time in nanoseconds since 1970, or none. Raises ``InvalidInput``."""
    return None if until_ns is None else inputs.whole(until_ns, "until_ns", -_MOST, _MOST)


def _checked_streams(streams: Sequence[str]) -> tuple[str, ...]:
    chosen = inputs.words(streams, "streams", one="a stream")
    for stream in chosen:
        if stream not in _STREAMS:
            raise InvalidInput(f"there is no stream {stream!r}", hint=f"there are {', '.join(_STREAMS)}")
    return chosen


def _open(pod: Pod) -> int:
    try:
        return os.open(plans.LOG_DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=pod.fd())
    except FileNotFoundError:
        raise NotFound(f"pod {pod.uuid} has no logs") from None


_BATCH = 1000
_PIPE_BYTES = 65536
# For pods whose init is not to be reached. To close an inotify instance takes the kernel 8 ms, so one that
# ends at once is followed without.
_FIRST_PAUSES_S = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032)


def _pipe(pod: Pod) -> int:
    """What init writes to when it has written a log; -1 where it is not, or no more, to be reached."""
    from carob.supervisor import client

    try:
        return client.follow(pod.fd(), str(pod.uuid))
    except (CarobError, OSError):
        return -1


class Following:
    """``batches`` for callers that wait in a way of their own: an event loop. Close it at the end.

    Over and over: ``take``; where that gives nothing and it is not ``over``, wait until one of
    ``descriptors`` is readable, ``look_again_s`` at most, and ``heard``. One thread at a time.
    """

    def __init__(
        self,
        pod: Pod,
        apps: Sequence[str],
        *,
        since_ns: int = 0,
        until_ns: int | None = None,
        tail: int | None = None,
        until_ended: bool = False,
    ) -> None:
        """``until_ended``: it is over when these apps have ended, whatever becomes of the pod."""
        from carob.logs.follow import looks

        since_ns, tail = checked_since_ns(since_ns), checked_tail(tail)
        self._until_ns = checked_until_ns(until_ns)

        self.over = False
        self._pod = pod
        self._apps = tuple(apps) if until_ended else ()
        self._directory = self._pipe = -1
        self._elsewhere: dict[str, tuple[int, str]] = {}
        self._watch: LogWatch | None = None
        self._pauses_s = [*_FIRST_PAUSES_S]
        names = [app + SUFFIX for app in apps]
        self._init = _Init(pod)
        try:
            self._directory = _open(pod)
            self._elsewhere = open_places(pod, apps)
            self._pipe = _pipe(pod)
            self._looks = looks(
                self._directory,
                names,
                self._ended,
                streams=BOTH,
                since_ns=since_ns,
                until_ns=self._until_ns,
                tail=tail,
                elsewhere=self._elsewhere,
            )
        except BaseException:
            self._let_go()
            raise

    def _ended(self) -> bool:
        if self._apps and all(has_record(self._pod, app) for app in self._apps):
            return True
        return self._init.ended() or self._left_s() == 0

    def _left_s(self) -> float | None:
        """How long what is written still belongs to it."""
        return None if self._until_ns is None else max(0, self._until_ns - time_ns()) / 1e9

    def take(self) -> list[tuple[str, LogEntry]]:
        """Some of what was written and not yet taken; empty where there is nothing at the moment."""
        batch: list[tuple[str, LogEntry]] = []
        for found in self._looks:
            if found is None:
                return batch
            batch.append((found[0].removesuffix(SUFFIX), found[1]))
            if len(batch) >= _BATCH:
                return batch
        self.over = True
        return batch

    @property
    def look_again_s(self) -> float:
        """How long to wait at most: events are hints."""
        left_s = self._left_s()
        return self._pause_s if left_s is None else min(left_s + 0.001, self._pause_s)

    @property
    def _pause_s(self) -> float:
        from carob.logs.follow import LOOK_AGAIN_S
        from carob.logs.watch import UNWATCHED_LOOK_S

        if self._pipe >= 0:
            return LOOK_AGAIN_S
        if self._pauses_s:
            return self._pauses_s[0]
        return LOOK_AGAIN_S if self._watch is not None and self._watch.watching else UNWATCHED_LOOK_S

    def descriptors(self) -> list[int]:
        """What becomes readable when there may be more."""
        if self._pipe >= 0:
            return [self._pipe, *self._init.descriptors()]
        if self._watch is None:
            return [*self._init.descriptors()]
        return self._watch.descriptors()

    def heard(self) -> None:
        """Forgets the changes that have just ended a wait."""
        if self._pipe >= 0:
            self._hear_init()
            return
        if self._watch is not None:
            self._watch.drain()
        if self._pauses_s:
            self._pauses_s.pop(0)
            if len(self._pauses_s) == 1:  # one more look after it is there, for what came before
                self._watch_otherwise()

    def _watch_otherwise(self) -> None:
        """Asks init once more, which may have had too many guests at once, and does without it else."""
        self._pipe = _pipe(self._pod)
        if self._pipe < 0:
            from carob.logs.watch import LogWatch

            self._watch = LogWatch(self._directory, self._init.descriptors())

    def _hear_init(self) -> None:
        try:
            if os.read(self._pipe, _PIPE_BYTES):
                return
        except BlockingIOError:
            return
        os.close(self._pipe)  # init has ended, or takes no more followers
        self._pipe = -1

    def close(self) -> None:
        """Lets go of the files; the pod is the caller's to close."""
        try:
            self._looks.close()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
        if self._watch is not None:
            self._watch.close()
        self._init.close()
        if self._directory >= 0:
            os.close(self._directory)
        close_places(self._elsewhere)


def batches(
    pod: Pod,
    apps: Sequence[str],
    *,
    since_ns: int = 0,
    until_ns: int | None = None,
    tail: int | None = None,
    follow: bool = True,
    until_ended: bool = False,
) -> Iterator[list[tuple[str, LogEntry]]]:
    """(app, entry) as the apps write, until the pod has ended and all was told.

    With all that is there at a time, up to some number, in one list; none is empty. Without ``follow`` it
    ends where it would wait, with ``until_ended`` when these apps have ended. One thread for all apps of the
    pod; woken by the kernel.
    """
    from select import POLLIN, poll

    following = Following(pod, apps, since_ns=since_ns, until_ns=until_ns, tail=tail, until_ended=until_ended)
    try:
        while True:
            if batch := following.take():
                yield batch
            elif following.over or not follow:
                return
            else:
                waiting = poll()
                for descriptor in following.descriptors():
                    waiting.register(descriptor, POLLIN)
                waiting.poll(following.look_again_s * 1000)
                following.heard()
    finally:
        following.close()


def has_record(pod: Pod, app: str) -> bool:
    """Whether an app has ended, and was not started again."""
    try:
        os.stat(plans.exit_record(app), dir_fd=pod.fd())
    except FileNotFoundError:
        return False
    return True


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

"""``Engine``: the pods and images of one data directory."""

from __future__ import annotations

import os

from carob.engine import settings
from carob.engine.failures import Attempt
from carob.engine.images.collection import Images, trees
from carob.engine.images.trust import Trust
from carob.engine.launch.supervision import Supervision, silent
from carob.engine.request import inputs
from carob.errors import InvalidInput, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Unpack

    from carob.engine.doctor import Check
    from carob.engine.end.collect import Collection
    from carob.engine.handle import PodHandle
    from carob.engine.images.collection import Callback, Warn
    from carob.engine.launch.supervision import Progress
    from carob.engine.networks import NetworkConfiguration
    from carob.engine.observe.events import Event
    from carob.engine.observe.pods import BrokenPod, PodSummary
    from carob.engine.observe.status import PodStatus
    from carob.engine.prepare.images import ImageFinder
    from carob.engine.request.options import PodOptions
    from carob.engine.request.pod import App, PodRequest
    from carob.engine.usage.stats import PodStats
    from carob.engine.volumes.collection import Volumes
    from carob.image.layers.trees import Trees


_MOST_STANDBY = 1000


class Engine:
    """The pods and images below one directory. No service, no connection: make as many as you like.

    ``data_dir`` is by default what ``default_data_dir`` says. ``python`` is the interpreter for supervisors,
    by default this process's own. ``launcher`` goes between that interpreter's flags and the supervisor's
    program, for coverage runs. Threads may share it.

    An engine holds nothing open, unless it is given ``standby``: from its first pod on it keeps that many
    supervisors started, so that the next pods run sooner. Each is two processes, 5 MB together, that end
    with this process, or with ``close``. One that the host's mounts, or this process's rights, changed
    under is replaced. ``supervision`` stands for these three where they were begun earlier.

    ``image_limits`` are bounds of images other than the usual ones, by their names in carob.toml's table
    ``[images.limits]``: ``{"layer_bytes": 1 << 40}``.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        python: str | None = None,
        launcher: Sequence[str] = (),
        standby: int = 0,
        supervision: Supervision | None = None,
        image_limits: Mapping[str, float] | None = None,
    ) -> None:
        given = settings.default_data_dir() if data_dir is None else inputs.path(data_dir, "data_dir")
        with Attempt(f"the data directory {given!r} cannot be found"):
            self.data_dir = os.path.abspath(given)
        self.images = Images(self.data_dir, limits=image_limits)
        self.trust = Trust()
        if python is not None:
            inputs.path(python, "python")
        self._supervision = supervision or Supervision(
            python,
            inputs.words(launcher, "launcher", one="a word of launcher"),
            standby=inputs.whole(standby, "standby", 0, _MOST_STANDBY),
        )

    @property
    def volumes(self) -> Volumes:
        """The named volumes."""
        from carob.engine.volumes.collection import Volumes

        return Volumes(self.data_dir)

    def __repr__(self) -> str:
        return f"Engine({self.data_dir!r})"

    def close(self) -> None:
        """Lets go of supervisors that stand by; the engine can be used on, and keeps none from now on."""
        self._supervision.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        *apps: App,
        tied: bool = False,
        timeout_s: float | None = None,
        **options: Unpack[PodOptions],
    ) -> PodHandle:
        """Makes a pod of these apps and runs it; returns when all of them have been started.

        An immutable pod: it ends when all apps have ended, or when one fails. With ``tied`` it is ended and
        removed when this process dies. The options are those of ``carob.engine.request.pod.PodRequest``:
        ``name``, ``network``, ``ports`` and what goes with them, ``hostname``, ``grace_s``, ``runtime``,
        ``overlay``, ``annotations``, and ``pull`` and ``insecure``, for images that are not here
        (``Images.fetch``).

        Raises ``InvalidInput``, ``NotFound`` (an image or a volume), ``AppStartFailed`` (the pod stays,
        ended, with its logs), ``Unavailable``, ``OutOfResources``, and ``TimedOut`` after ``timeout_s``, each
        with the pod's ``uuid`` once there was one.
        """
        from carob.engine.request.pod import PodRequest

        return self.run_request(PodRequest(apps, **options), tied=tied, timeout_s=timeout_s)

    def sandbox(
        self, *, tied: bool = False, timeout_s: float | None = None, **options: Unpack[PodOptions]
    ) -> PodHandle:
        """Makes a mutable pod and runs it: it has no apps, and lives until it is stopped.

        Apps come with ``PodHandle.add``. Options and errors as for ``run``.
        """
        from carob.engine.request.pod import PodRequest

        return self.run_request(PodRequest((), mutable=True, **options), tied=tied, timeout_s=timeout_s)

    def run_request(
        self,
        request: PodRequest,
        *,
        tied: bool = False,
        timeout_s: float | None = None,
        progress: Progress = silent,
        fetching: Callback | None = None,
        warn: Warn | None = None,
    ) -> PodHandle:
        """``run`` for a request made before.

        ``progress`` is called with each step as it is done (``launch.supervision``) and the pod's uuid,
        ``fetching`` as by ``Images.fetch``, while an image is fetched, and so is ``warn``.
        """
        from carob.engine.launch import start

        _check_request(request)
        tied, timeout_s = inputs.flag(tied, "tied"), inputs.start_timeout(timeout_s)
        with _Start("run", progress) as begun:
            uuid = start.run_pod(
                self.data_dir,
                request,
                self._finder(request, fetching, warn),
                self._trees(),
                self._supervision,
                tied=tied,
                timeout_s=timeout_s,
                progress=begun.note,
            )
        return self.handle(uuid)

    def prepare(self, *apps: App, **options: Unpack[PodOptions]) -> PodHandle:
        """Makes a pod of these apps, to be run later with ``PodHandle.run``. Options and errors as for
        ``run``.
        """
        from carob.engine.request.pod import PodRequest

        return self.prepare_request(PodRequest(apps, **options))

    def prepare_request(
        self,
        request: PodRequest,
        *,
        progress: Progress = silent,
        fetching: Callback | None = None,
        warn: Warn | None = None,
    ) -> PodHandle:
        """``prepare`` for a request made before; the rest as for ``run_request``."""
        from carob.engine.launch import start

        _check_request(request)
        with _Start("prepared", progress) as begun:
            find = self._finder(request, fetching, warn)
            uuid = start.prepare_pod(self.data_dir, request, find, self._trees(), progress=begun.note)
        return self.handle(uuid)

    def _finder(self, request: PodRequest, fetching: Callback | None, warn: Warn | None) -> ImageFinder:
        from carob.engine.prepare.images import ImageFinder

        return ImageFinder(self.images, request.pull, insecure=request.insecure, progress=fetching, warn=warn)

    def _trees(self) -> Trees:
        return trees(self.data_dir, self.images.limits)

    def handle(self, uuid: str) -> PodHandle:
        """A handle for a whole uuid; whether there is such a pod shows when it is used."""
        from carob.engine.handle import PodHandle

        return PodHandle(self.data_dir, uuid, self._supervision)

    def get(self, uuid: str) -> PodHandle:
        """The pod with this uuid, or the one whose uuid begins so.

        Raises ``NotFound`` where there is none, ``InvalidInput`` where several do. A pod that was removed is
        found by its whole uuid while the record of its end is kept: ``wait`` then returns that.
        """
        from carob.engine.observe import tombstone
        from carob.pod import pod_from_uuid_string

        inputs.text(uuid, "a pod's uuid")
        with Attempt("the pods cannot be looked at"):
            try:
                with pod_from_uuid_string(self.data_dir, uuid) as pod:
                    return self.handle(str(pod.uuid))
            except NotFound:
                if tombstone.read(self.data_dir, uuid) is None:
                    raise
                return self.handle(uuid)

    def doctor(self, *, runtime: str = "") -> list[Check]:
        """What this host can and cannot do for pods of this user, and how to mend each.

        Nothing is left behind by it; with ``runtime`` as for a pod.
        """
        from carob.engine.doctor import examine

        with Attempt("the host cannot be looked at"):
            return examine(self.data_dir, runtime=inputs.text(runtime, "runtime"))

    def events(self, *, since_ns: int | None = None, follow: bool = True) -> Iterator[Event]:
        """What happens to pods, as it happens: ``Event`` by ``Event``, without end; or up to now.

        From ``since_ns`` on (nanoseconds since 1970), by default from now; files' own times, which some
        events have, lag behind the clock by up to 10 ms. A reader that is slow misses nothing: it is told
        later. Only what was removed more than a day ago is forgotten, and pods that never ran.
        """
        from carob.engine.observe import watching

        since_ns = watching.checked_since_ns(since_ns)
        with Attempt("the pods cannot be watched"):
            yield from watching.follow(self.data_dir, since_ns=since_ns, until_now=not follow)

    def stats(self) -> list[PodStats]:
        """What each running pod uses now, in order of uuid."""
        from carob.engine.usage.stats import of_all

        with Attempt("the pods cannot be looked at"):
            return of_all(self.data_dir)

    def list(self) -> list[PodStatus]:
        """The status of every pod but embryos and never-run garbage, in order of uuid."""
        from carob.engine.observe.pods import statuses

        with Attempt("the pods cannot be listed"):
            return statuses(self.data_dir)

    def summaries(
        self, broken: Callable[[BrokenPod], object] | None = None, *, times: bool = False
    ) -> Iterator[PodSummary]:
        """What the manifests tell of the same pods, in the same order: the quick way through thousands.

        What is among the pods and is none goes to ``broken``. With ``times`` they have those as well.
        """
        from carob.engine.observe.pods import summaries

        with Attempt("the pods cannot be listed"):
            yield from summaries(self.data_dir, broken, times=times)

    def networks(self, broken: Callable[[str], object] | None = None) -> tuple[NetworkConfiguration, ...]:
        """The networks that pods can be put on, carob's own last; what is wrong with a configuration's file
        goes to ``broken``.
        """
        from carob.engine.networks import networks

        with Attempt("the networks cannot be listed"):
            return networks(broken)

    def gc(
        self, *, grace_s: float = 1800.0, expire_prepared_s: float = 86400.0, mark_only: bool = False
    ) -> Collection:
        """Marks exited pods, expires prepared ones, takes away aborted ones, and deletes what was marked long
        enough ago.

        Safe at any moment and from any number of processes; what cannot be done is in the result's
        ``problems``.
        """
        from carob.engine.end.collect import collect

        grace_s = inputs.seconds(grace_s, "grace_s", inputs.FOR_EVER_S)
        expire_prepared_s = inputs.seconds(expire_prepared_s, "expire_prepared_s", inputs.FOR_EVER_S)
        with Attempt("the pods cannot be collected"):
            collection = collect(
                self.data_dir, grace_s=grace_s, expire_prepared_s=expire_prepared_s, mark_only=mark_only
            )
            for one in () if mark_only else self.summaries():
                if one.mutable and str(one.state) == "running":
                    from carob.engine.sandbox import leftovers

                    if problem := leftovers.collect(self.data_dir, one.uuid):
                        collection.problems.append(problem)
            return collection


class _Start(Attempt):
    """An attempt at making a pod, which has a uuid from some moment on."""

    __slots__ = ("_progress",)

    def __init__(self, done: str, progress: Progress) -> None:
        super().__init__(f"the pod cannot be {done}")
        self._progress = progress

    def __enter__(self) -> _Start:
        return self

    def note(self, step: str, uuid: str) -> None:
        """Tells the caller of a step, and keeps the uuid for errors."""
        self.uuid = uuid
        self._progress(step, uuid)


def _check_request(request: object) -> None:
    from carob.engine.request.pod import PodRequest

    if not isinstance(request, PodRequest):
        raise InvalidInput(f"a request is made with PodRequest, not {request!r}")

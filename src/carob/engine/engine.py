"""``Engine``: the pods and images of one data directory."""

from __future__ import annotations

import os

from carob.engine import settings
from carob.engine.images import Images
from carob.engine.supervision import Supervision, silent
from carob.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from carob.engine.collect import Collection
    from carob.engine.handle import PodHandle
    from carob.engine.observe import BrokenPod, PodSummary
    from carob.engine.request import App, Network, PodRequest
    from carob.engine.status import PodStatus
    from carob.engine.supervision import Progress
    from carob.image.store import Store
    from carob.image.trees import Trees


class Engine:
    """The pods and images below one directory. No service, no connection: make as many as you like.

    ``data_dir`` is by default what ``default_data_dir`` says. ``python`` is the interpreter for supervisors,
    by default this process's own. ``launcher`` goes between that interpreter's flags and the supervisor's
    program, for coverage runs. Threads may share it.

    An engine holds nothing open, unless it is given ``standby``: from its first pod on it keeps that many
    supervisors started, so that the next pods run sooner. Each is two processes, 5 MB together, that end
    with this process, or with ``close``. One that the host's mounts, or this process's rights, changed
    under is replaced. ``supervision`` stands for these three where they were begun earlier.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        python: str | None = None,
        launcher: Sequence[str] = (),
        standby: int = 0,
        supervision: Supervision | None = None,
    ) -> None:
        self.data_dir = os.path.abspath(data_dir if data_dir is not None else settings.default_data_dir())
        self.images = Images(self.data_dir)
        self._supervision = supervision or Supervision(python, tuple(launcher), standby=standby)

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
        name: str = "",
        network: Network = "none",
        hostname: str | None = None,
        grace_s: float = 10.0,
        runtime: str = "",
        overlay: bool = True,
        annotations: Mapping[str, str] | None = None,
        tied: bool = False,
        timeout_s: float | None = None,
    ) -> PodHandle:
        """Makes a pod of these apps and runs it; returns when all of them have been started.

        An immutable pod: it ends when all apps have ended, or when one fails. With ``tied`` it is ended and
        removed when this process dies. Raises ``InvalidInput``, ``NotFound`` (an image), ``AppStartFailed``
        (the pod stays, ended, with its logs), ``Unavailable``, ``OutOfResources``, and ``TimedOut`` after
        ``timeout_s``.
        """
        from carob.engine.request import PodRequest

        request = PodRequest(
            apps,
            name=name,
            network=network,
            hostname=hostname,
            grace_s=grace_s,
            runtime=runtime,
            overlay=overlay,
            annotations=annotations,
        )
        return self.run_request(request, tied=tied, timeout_s=timeout_s)

    def run_request(
        self,
        request: PodRequest,
        *,
        tied: bool = False,
        timeout_s: float | None = None,
        progress: Progress = silent,
    ) -> PodHandle:
        """``run`` for a request made before.

        ``progress`` is called with each step as it is done (``carob.engine.supervision``) and the pod's uuid.
        """
        from carob.engine import start

        store, trees = self._image_parts()
        uuid = start.run_pod(
            self.data_dir,
            request,
            store,
            trees,
            self._supervision,
            tied=tied,
            timeout_s=timeout_s,
            progress=progress,
        )
        return self.handle(uuid)

    def prepare(
        self,
        *apps: App,
        name: str = "",
        network: Network = "none",
        hostname: str | None = None,
        grace_s: float = 10.0,
        runtime: str = "",
        overlay: bool = True,
        annotations: Mapping[str, str] | None = None,
    ) -> PodHandle:
        """Makes a pod of these apps, to be run later with ``PodHandle.run``. Arguments and errors as for
        ``run``.
        """
        from carob.engine.request import PodRequest

        request = PodRequest(
            apps,
            name=name,
            network=network,
            hostname=hostname,
            grace_s=grace_s,
            runtime=runtime,
            overlay=overlay,
            annotations=annotations,
        )
        return self.prepare_request(request)

    def prepare_request(self, request: PodRequest, *, progress: Progress = silent) -> PodHandle:
        """``prepare`` for a request made before; ``progress`` as for ``run_request``."""
        from carob.engine import start

        store, trees = self._image_parts()
        return self.handle(start.prepare_pod(self.data_dir, request, store, trees, progress=progress))

    def _image_parts(self) -> tuple[Store, Trees]:
        from carob.image.store import Store
        from carob.image.trees import Trees

        return Store(self.data_dir), Trees(self.data_dir)

    def handle(self, uuid: str) -> PodHandle:
        """A handle for a whole uuid; whether there is such a pod shows when it is used."""
        from carob.engine.handle import PodHandle

        return PodHandle(self.data_dir, uuid, self._supervision)

    def get(self, uuid: str) -> PodHandle:
        """The pod with this uuid, or the one whose uuid begins so.

        Raises ``NotFound`` where there is none, ``InvalidInput`` where several do. A pod that was removed is
        found by its whole uuid while the record of its end is kept: ``wait`` then returns that.
        """
        from carob.engine import tombstone
        from carob.pod import pod_from_uuid_string

        try:
            with pod_from_uuid_string(self.data_dir, uuid) as pod:
                return self.handle(str(pod.uuid))
        except NotFound:
            if tombstone.read(self.data_dir, uuid) is None:
                raise
            return self.handle(uuid)

    def list(self) -> list[PodStatus]:
        """The status of every pod but embryos and never-run garbage, in order of uuid."""
        from carob.engine.observe import statuses

        return statuses(self.data_dir)

    def summaries(
        self, broken: Callable[[BrokenPod], object] | None = None, *, times: bool = False
    ) -> Iterator[PodSummary]:
        """What the manifests tell of the same pods, in the same order: the quick way through thousands.

        What is among the pods and is none goes to ``broken``. With ``times`` they have those as well.
        """
        from carob.engine.observe import summaries

        return summaries(self.data_dir, broken, times=times)

    def gc(
        self, *, grace_s: float = 1800.0, expire_prepared_s: float = 86400.0, mark_only: bool = False
    ) -> Collection:
        """Marks exited pods, expires prepared ones, takes away aborted ones, and deletes what was marked long
        enough ago.

        Safe at any moment and from any number of processes; what cannot be done is in the result's
        ``problems``.
        """
        from carob.engine.collect import collect

        return collect(
            self.data_dir, grace_s=grace_s, expire_prepared_s=expire_prepared_s, mark_only=mark_only
        )

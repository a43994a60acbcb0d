"""A pod in the caller's hand."""

from __future__ import annotations

from carob.engine.failures import Attempt
from carob.engine.launch.supervision import silent
from carob.engine.observe import status
from carob.engine.observe.ends import Unknown, from_view
from carob.engine.request import inputs
from carob.errors import Conflict, InvalidInput, NotFound, Unavailable
from carob.pod import State
from carob.pod import open_pod as open_directory
from carob.pod.identifier import fault_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Unpack

    from carob.engine.forward.port_forward import PortForward
    from carob.engine.images.collection import Callback, Warn
    from carob.engine.launch.supervision import Progress, Supervision
    from carob.engine.observe import output
    from carob.engine.observe.ends import AppEnd
    from carob.engine.observe.events import Event
    from carob.engine.request.options import AddOptions
    from carob.engine.request.pod import App
    from carob.engine.request.resources import Resources
    from carob.engine.sandbox.addition import Addition
    from carob.engine.steer import attachment, execution
    from carob.engine.usage.stats import PodStats
    from carob.engine.usage.top import ProcessInfo
    from carob.errors import CarobError
    from carob.image.store.resolved import ResolvedImage
    from carob.logs.entry import LogEntry
    from carob.pod import Pod


_TIE_TIMEOUT_S = 30.0


class PodEnd:
    """How a pod ended: ``apps`` maps each app's name to its end; ``outcome`` and ``reason`` as in
    ``PodStatus``.
    """

    __slots__ = ("apps", "outcome", "reason", "state")

    def __init__(self, state: State, apps: Mapping[str, AppEnd], outcome: str, reason: str) -> None:
        self.state = state
        self.apps = dict(apps)
        self.outcome = outcome
        self.reason = reason

    def __repr__(self) -> str:
        return f"PodEnd(apps={self.apps!r}, outcome={self.outcome!r})"


class PodHandle:
    """A pod by its ``uuid``. It holds nothing open, so it may be kept, shared by threads, and pickled.

    In a ``with`` block the pod's life is tied to this process: it is stopped and removed at the end of the
    block, and also if the process dies in it.
    """

    def __init__(self, data_dir: str, uuid: str, supervision: Supervision) -> None:
        """Raises ``InvalidInput`` for what is no whole uuid: it becomes part of paths."""
        if fault := fault_of(inputs.text(uuid, "a pod's uuid")):
            raise InvalidInput(
                f"{uuid!r} is no pod's uuid: {fault}", hint="Engine.get finds a pod by its first characters"
            )
        self.uuid = uuid
        self._in_block = False
        self._data_dir = data_dir
        self._supervision = supervision

    def __repr__(self) -> str:
        return f"<PodHandle {self.uuid}>"

    def __enter__(self) -> PodHandle:
        with self._attempt("tied to this process"), self._open() as pod:
            if pod.state() is State.RUNNING:
                self._tie(pod)
        self._in_block = True
        return self

    def _tie(self, pod: Pod) -> None:
        """Ties a running pod; one that has ended meanwhile has no life left to tie."""
        from carob.supervisor import client

        if not pod.is_supervisor_ready() and pod.refresh() is State.RUNNING:
            try:
                pod.wait_ready(timeout_s=_TIE_TIMEOUT_S)  # it listens by then
            except Conflict:
                return  # it has ended without
        try:
            client.tie(pod.fd(), self.uuid)
        except Unavailable:
            if client.listens(pod.fd()) and pod.refresh() is State.RUNNING:
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in_block = False
        self.remove(force=True)

    def _attempt(self, done: str) -> Attempt:
        """All that is done with the pod is done in one: callers get carob's errors, with the pod's uuid."""
        return Attempt(f"pod {self.uuid} cannot be {done}", self.uuid)

    def _open(self) -> Pod:
        return open_directory(self._data_dir, self.uuid)

    # Its life

    def run(self, *, tied: bool = False, timeout_s: float | None = None, progress: Progress = silent) -> None:
        """Runs a prepared pod; see ``Engine.run_request``. ``LostRace`` where another process was quicker."""
        from carob.engine.launch import start

        tied, timeout_s = inputs.flag(tied, "tied") or self._in_block, inputs.start_timeout(timeout_s)
        with self._attempt("run"), self._open() as pod:
            start.run_prepared(
                self._data_dir, pod, self._supervision, tied=tied, timeout_s=timeout_s, progress=progress
            )

    def wait(self, *, timeout_s: float | None = None) -> PodEnd:
        """Waits until the pod has ended and nothing of it runs; returns how. Raises ``TimedOut``."""
        from carob.engine.end import stop

        with self._attempt("waited for"):
            try:
                with self._open() as pod:
                    state = stop.wait_over(pod, timeout_s=timeout_s)
                    if state is not State.GONE:
                        end = _end(status.read(pod))
                        if not _is_being_deleted(pod) or self._is_whole_still(pod):
                            return end
            except NotFound:
                pass
            return self._buried()

    def wait_ready(self, *, timeout_s: float | None = None) -> None:
        """Waits until all apps have been started, and those with probes are ready. Raises ``TimedOut``,
        ``Conflict`` where that cannot be any more.
        """
        from carob.engine.observe import readiness

        with self._attempt("waited for"), self._open() as pod:
            readiness.wait_ready(pod, timeout_s=timeout_s)

    def export(self, target: str | os.PathLike[str] | int, *, app: str = "") -> None:
        """Writes what an app sees (the only one for ``""``) as a tar, to a path, all or nothing, or an open
        file.

        Volumes are not in it. ``Conflict`` where the app changes it meanwhile.
        """
        from carob.engine.copy import export

        given = target if isinstance(target, int) else inputs.path(target, "the path of a tar")
        with self._attempt("exported"), self._open() as pod:
            export.export_app(pod, inputs.text(app, "an app's name"), given)

    def commit(self, name: str, *, app: str = "") -> ResolvedImage:
        """Makes an image, ``name``, of what an app sees, configured like the app's image; as ``export``."""
        from carob.engine.copy import export

        with self._attempt("made an image"), self._open() as pod:
            return export.commit_app(
                self._data_dir, pod, inputs.text(app, "an app's name"), inputs.text(name, "an image's name")
            )

    def copy_in(
        self,
        source: str | os.PathLike[str] | int,
        path: str,
        *,
        app: str | None = None,
        follow_links: bool = False,
    ) -> None:
        """Copies a file, a directory or what an open tar has to ``path`` in an app of a running pod.

        As ``cp`` does: into a directory that is there, under another name else; ``directory/.`` is what is in
        it. Modes, owners, times and extended attributes are kept. No link in the app leads out of its root.
        """
        from carob.engine.copy import pods

        given = source if isinstance(source, int) else inputs.path(source, "what is copied")
        with self._attempt("copied into"), self._open() as pod:
            pods.copy_in(pod, self._app(pod, app), given, path, follow_links=follow_links)

    def copy_out(
        self,
        path: str,
        target: str | os.PathLike[str] | int,
        *,
        app: str | None = None,
        follow_links: bool = False,
    ) -> None:
        """Copies ``path`` of an app to a path here, or as a tar to an open file; also once the pod has ended.

        As ``copy_in``; at a path here nothing becomes a device or gets set-id bits or capabilities.
        """
        from carob.engine.copy import pods

        to = target if isinstance(target, int) else inputs.path(target, "the target of a copy")
        with self._attempt("copied from"), self._open() as pod:
            pods.copy_out(pod, self._app(pod, app), path, to, follow_links=follow_links)

    def update(self, resources: Resources, *, app: str | None = None) -> None:
        """Changes the limits of a running app, or of the pod as a whole; what is not given stays.

        Raises ``Conflict`` where it does not run or the kernel refuses, ``Unsupported`` for what it cannot
        have.
        """
        from carob.engine.steer.update import update

        with self._attempt("updated"), self._open() as pod:
            update(pod, "" if app is None else self._app(pod, app), resources)

    def stop(self, *, grace_s: float | None = None, timeout_s: float | None = None) -> None:
        """Asks the apps to end, kills them after the grace (default: the pod's), returns when it is over.

        ``timeout_s`` is how long it waits for that before it kills the pod; by default a little longer than
        the grace.
        """
        from carob.engine.end import stop

        with self._attempt("stopped"), self._open() as pod:
            stop.stop(pod, grace_s=grace_s, timeout_s=timeout_s)

    def kill(self) -> None:
        """Ends the pod at once and returns when it is over."""
        from carob.engine.end import stop

        with self._attempt("killed"), self._open() as pod:
            stop.kill(pod)

    def signal(self, number: int, *, app: str | None = None) -> None:
        """Sends a signal to the first process of an app, or of each app that runs."""
        from carob.engine.steer import apps as steering

        number = inputs.whole(number, "a signal", 1, inputs.LAST_SIGNAL)
        with self._attempt("signaled"), self._open() as pod:
            steering.signal(pod, self._some(pod, app), number)

    def pause(self, *, app: str | None = None) -> None:
        """Freezes an app, or each that runs; returns when all their processes stand still. ``Conflict`` where
        none runs, ``TimedOut``.
        """
        from carob.engine.steer import apps as steering

        with self._attempt("paused"), self._open() as pod:
            steering.pause(pod, self._some(pod, app))

    def resume(self, *, app: str | None = None) -> None:
        """Lets a paused app go on, or each; one that is not paused is fine."""
        from carob.engine.steer import apps as steering

        with self._attempt("resumed"), self._open() as pod:
            steering.resume(pod, self._some(pod, app))

    def restart(self, *, app: str | None = None, grace_s: float | None = None) -> None:
        """Ends an app, or each but init apps, and starts it anew; returns when it runs.

        The grace is by default the app's. ``Conflict`` where the pod is being ended.
        """
        from carob.engine.steer import apps as steering

        if grace_s is not None:
            grace_s = inputs.seconds(grace_s, "a grace period", inputs.LONGEST_GRACE_S)
        with self._attempt("restarted"), self._open() as pod:
            steering.restart(pod, self._some(pod, app), grace_s=grace_s)

    def remove(self, *, force: bool = False) -> None:
        """Takes the pod away; a running one only with ``force``. One that is gone is fine."""
        from carob.engine.end import stop

        with self._attempt("removed"):
            try:
                with self._open() as pod:
                    stop.remove(pod, self._data_dir, force=force)
            except NotFound:
                return

    # Apps that come and go, in a mutable pod

    def add(self, app: App, **options: Unpack[AddOptions]) -> str:
        """Adds an app to a running mutable pod (``Engine.sandbox``), created and not yet started; returns
        its name.

        Options: ``pid``, ``log_path``, ``labels``, ``user_annotations``, ``pull``, ``insecure``
        (``carob.engine.sandbox.addition.Addition``). Where it raises, nothing was added: ``Conflict`` where
        the pod is immutable, does not run, or has an app of that name; ``AppStartFailed``; else as
        ``Engine.run``.
        """
        from carob.engine.sandbox.addition import Addition

        return self.add_request(Addition(app, **options))

    def add_request(
        self, addition: Addition, *, fetching: Callback | None = None, warn: Warn | None = None
    ) -> str:
        """``add`` for an addition made before; ``fetching`` and ``warn`` as for ``Engine.run_request``."""
        from carob.engine.images.collection import Images, trees
        from carob.engine.prepare.images import ImageFinder
        from carob.engine.sandbox import add

        with self._attempt("given an app"), self._open() as pod:
            images = Images(self._data_dir)
            find = ImageFinder(
                images, addition.pull, insecure=addition.insecure, progress=fetching, warn=warn
            )
            return add.add(pod, addition, find, trees(self._data_dir, images.limits))

    def start_app(self, name: str) -> None:
        """Starts an app that was added, or has ended; returns when it runs. One that runs is fine.

        Raises ``NotFound``, ``AppStartFailed``, ``Conflict`` where it is being ended, or the pod is.
        """
        from carob.engine.sandbox import apps

        with self._attempt("changed"), self._open() as pod:
            apps.start(pod, inputs.text(name, "an app's name"))

    def stop_app(self, name: str, *, grace_s: float | None = None) -> None:
        """Asks an app to end, kills it after the grace (default: the app's, or the pod's), and returns when
        it has ended. One that does not run is fine. Raises ``NotFound``.
        """
        from carob.engine.sandbox import apps

        if grace_s is not None:
            grace_s = inputs.seconds(grace_s, "a grace period", inputs.LONGEST_GRACE_S)
        with self._attempt("changed"), self._open() as pod:
            apps.stop(pod, inputs.text(name, "an app's name"), grace_s=grace_s)

    def remove_app(self, name: str, *, force: bool = False) -> None:
        """Removes an app with its files and its log, also from a pod that has ended; with ``force`` one that
        runs, too. Raises ``NotFound``, ``Conflict``.
        """
        from carob.engine.sandbox import apps

        with self._attempt("changed"), self._open() as pod:
            apps.remove(pod, inputs.text(name, "an app's name"), force=inputs.flag(force, "force"))

    def reopen_log(self, name: str) -> None:
        """Has an app's output go on in the file that its log's path leads to now: the other was put aside."""
        from carob.engine.sandbox import apps

        with self._attempt("changed"), self._open() as pod:
            apps.reopen_log(pod, inputs.text(name, "an app's name"))

    # What is known of it

    def status(self) -> status.PodStatus:
        """The pod as it is now; ``NotFound`` once it is gone."""
        with self._attempt("looked at"), self._open() as pod:
            return status.read(pod)

    def timeline(self) -> list[Event]:
        """What has happened to the pod, in the order of time; also of one removed within the last day."""
        from carob.engine.observe import events

        with self._attempt("looked at"):
            return events.of_pod(self._data_dir, self.uuid)

    def check_networks(self) -> dict[str, CarobError]:
        """What is wrong with the networks of the running pod, by interface, as their plugins say.

        Raises ``Conflict`` for a pod that does not run.
        """
        from carob.engine.networks import check_networks

        with self._attempt("checked"), self._open() as pod:
            return check_networks(pod, status.read(pod).pid)

    def top(self, *apps: str) -> list[ProcessInfo]:
        """The processes of these apps, by default all. ``Conflict`` where the pod does not run."""
        from carob.engine.usage import top

        with self._attempt("looked at"), self._open() as pod:
            return top.of_pod(pod, [self._app(pod, app) for app in apps] or status.app_names(pod))

    def stats(self) -> PodStats:
        """What the pod and each of its apps use now. ``Conflict`` where it does not run."""
        from carob.engine.usage import stats

        with self._attempt("looked at"), self._open() as pod:
            return stats.one(pod)

    def follow_stats(self, *, interval_s: float = 1.0) -> Iterator[PodStats]:
        """``stats`` again and again; ends with the pod."""
        from carob.engine.usage import stats

        interval_s = stats.checked_interval_s(interval_s)
        with self._attempt("looked at"), self._open() as pod:
            yield from stats.stream(pod, interval_s)

    def logs(
        self,
        app: str | None = None,
        *,
        tail: int | None = None,
        since_ns: int = 0,
        until_ns: int | None = None,
    ) -> output.Logs:
        """What an app, or the only one, wrote: all, or of its last ``tail`` lines those from one time to
        before another (nanoseconds since 1970). ``NotFound`` for an app that is not in the pod.
        """
        from carob.engine.observe import output

        with self._attempt("looked at"), self._open() as pod:
            name = self._app(pod, app)
        return output.Logs(self._data_dir, self.uuid, name, tail=tail, since_ns=since_ns, until_ns=until_ns)

    def follow_logs(
        self, *apps: str, tail: int | None = None, since_ns: int = 0, until_ns: int | None = None
    ) -> Iterator[tuple[str, LogEntry]]:
        """(app, entry) as these apps, by default all, write; ends with the pod. Else as ``log_batches``."""
        for batch in self.log_batches(*apps, tail=tail, since_ns=since_ns, until_ns=until_ns):
            yield from batch

    def log_batches(
        self,
        *apps: str,
        tail: int | None = None,
        since_ns: int = 0,
        until_ns: int | None = None,
        follow: bool = True,
        until_ended: bool = False,
    ) -> Iterator[list[tuple[str, LogEntry]]]:
        """``follow_logs`` by what is there at a time, for who passes much output on.

        Without ``follow`` it ends with what is there now, with ``until_ended`` when these apps have ended,
        though the pod goes on. ``NotFound`` for an app that is not in the pod.
        """
        from carob.engine.observe import output

        with self._attempt("followed"), self._open() as pod:
            chosen = tuple(self._app(pod, app) for app in apps) or status.app_names(pod)
            yield from output.batches(
                pod,
                chosen,
                tail=tail,
                since_ns=since_ns,
                until_ns=until_ns,
                follow=follow,
                until_ended=until_ended,
            )

    def manifest(self) -> bytes:
        """The pod manifest, as it is on disk."""
        with self._attempt("looked at"), self._open() as pod:
            return pod.pod_manifest()[0]

    def port_forward(self, *ports: str) -> PortForward:
        """Has ports here lead into the running pod, whatever its network: ``[ADDRESS:]LOCAL:REMOTE``.

        For a ``with`` block. ``Conflict`` where an address here is taken, ``Unavailable`` where it does not
        run.
        """
        from carob.engine.forward.port_forward import PortForward

        with self._attempt("forwarded to"), self._open() as pod:
            return PortForward(pod, ports)

    # Its apps' input, and more processes

    def input_modes(self) -> dict[str, str]:
        """How each app reads, by its name: ``null``, ``stream`` or ``tty``."""
        from carob.engine.steer.attachment import input_modes

        with self._attempt("looked at"), self._open() as pod:
            return input_modes(pod)

    def attach(self, *, app: str | None = None, once: bool = False) -> attachment.Attachment:
        """The input of an app, or of the only one, which was made with ``stdin="stream"`` or ``"tty"``.

        What it writes is in its log: ``follow_logs``. With ``once`` its input ends with this attachment.
        Raises ``Conflict`` where the app does not run, or reads nothing.
        """
        from carob.engine.steer.attachment import Attachment

        with self._attempt("attached to"), self._open() as pod:
            name = self._app(pod, app)
            self._check_running(pod)
            return Attachment(self._data_dir, self.uuid, name, once=inputs.flag(once, "once"))

    def start(
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
    ) -> execution.Execution:
        """Starts one more process in an app and leaves its streams to the caller; see ``exec``.

        Raises ``TimedOut`` where it does not run after ``timeout_s``, by default 30 s.
        It ends with the pod, and not with the caller. With ``tty`` it has a terminal, of ``size`` (rows,
        columns), and SIGHUP when the caller's end of that is closed, however that comes; without one it then
        sees the end of its input, and a broken pipe where it writes.
        """
        from carob.engine.steer import enter

        timeout_s = inputs.timeout(timeout_s)
        with self._attempt("entered"), self._open() as pod:
            name = self._app(pod, app)
            return enter.start(
                pod, name, argv, env=env, cwd=cwd, user=user, tty=tty, size=size, timeout_s=timeout_s
            )

    def exec(
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
    ) -> execution.Completed:
        """Runs ``argv`` in an app to its end, as ``subprocess.run(..., capture_output=True)`` does.

        Raises ``CommandFailed`` where it cannot be started (and, with ``check``, where it fails), and
        ``TimedOut``; the process is then killed.
        """
        from carob.engine.observe.keeper import Deadline
        from carob.engine.steer import execution

        data, deadline = inputs.payload(input, "input"), Deadline(timeout_s)
        running = self.start(argv, app=app, env=env, cwd=cwd, user=user, timeout_s=timeout_s)
        with self._attempt("entered"), running:
            try:
                captured = running.communicate(data, timeout_s=deadline.left_s())
            except BaseException:
                running.kill()
                raise
            return execution.completed(running.args, running.wait(), captured, text=text, check=check)

    def _some(self, pod: Pod, app: str | None) -> str | None:
        """One app of a running pod, or all."""
        name = None if app is None else self._app(pod, app)
        self._check_running(pod)
        return name

    def _check_running(self, pod: Pod) -> None:
        if pod.state() is not State.RUNNING:
            raise Conflict(f"pod {self.uuid} is {pod.state()}: nothing of it runs")

    def _app(self, pod: Pod, app: str | None) -> str:
        names = status.app_names(pod)
        if app is None and len(names) == 1:
            return names[0]
        if app is None:
            if not names:
                raise NotFound(f"pod {self.uuid} has no apps")
            raise InvalidInput(f"pod {self.uuid} has several apps", hint=f"say which: {', '.join(names)}")
        if inputs.text(app, "an app's name") not in names:
            hint = f"its apps: {', '.join(names) or 'none'}"
            raise NotFound(f"pod {self.uuid} has no app {app!r}", hint=hint)
        return app

    def _is_whole_still(self, pod: Pod) -> bool:
        """Whether a pod that is being deleted had all its files until now: its record comes before that."""
        from carob.engine.observe import tombstone

        begun = pod.state() in (State.EXITED_DELETING, State.EXITED_GARBAGE)  # the latter: killed in it
        return begun and tombstone.read(self._data_dir, self.uuid) is None

    def _buried(self) -> PodEnd:
        from carob.engine.observe import tombstone

        record = tombstone.read(self._data_dir, self.uuid)
        if record is None:
            raise NotFound(f"pod {self.uuid} is gone, and so is the record of its end")
        apps = {str(app["name"]): from_view(app.get("end")) for app in record.get("apps") or ()}
        return PodEnd(State.GONE, apps, str(record.get("outcome", "")), str(record.get("reason", "")))


def _is_being_deleted(pod: Pod) -> bool:
    """Whether what was just read of the pod may have been read while it went: its record tells then."""
    from carob.pod.remove import deleting_has_begun

    state = pod.refresh()
    if state in (State.EXITED_DELETING, State.DELETING, State.GONE):
        return True
    try:
        return deleting_has_begun(pod)
    except NotFound:
        return True


def _end(read: status.PodStatus) -> PodEnd:
    apps = {app.name: app.end or Unknown("the app was never started") for app in read.apps}
    return PodEnd(read.state, apps, read.outcome, read.reason)

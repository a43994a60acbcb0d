"""A pod in the foreground: its output live, its end as the exit status. And how a start begins."""

from __future__ import annotations

from carob.cli import exit_codes
from carob.cli.interrupts import Interrupted, Interrupts
from carob.cli.output import STDERR, STDOUT, say, say_error, write, write_bytes
from carob.engine.launch.supervision import MADE, PREPARED
from carob.engine.observe.ends import Unknown
from carob.errors import AppStartFailed, CarobError, Conflict, LostRace, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from carob.cli.context import Context
    from carob.cli.interaction import Session
    from carob.engine.handle import PodHandle
    from carob.engine.launch.supervision import Progress
    from carob.engine.observe.ends import AppEnd
    from carob.engine.observe.output import LogEntry

    Start = Callable[[Progress], PodHandle]
    Attach = Callable[[PodHandle], Session]


class Detached(Exception):
    """The user has typed the keys that leave an app alone."""


_LAST_WORDS_S = 30.0


class _Beginning:
    """What is known of a pod while it is started."""

    def __init__(self, context: Context, uuid_file: str, handle: PodHandle | None) -> None:
        self.handle = handle
        self._context = context
        self._uuid_file = uuid_file

    def progress(self, step: str, uuid: str) -> None:
        self._context.debug(f"pod {uuid} {step}")
        if step == MADE:
            self.handle = self._context.engine.handle(uuid)
        elif step == PREPARED and self._uuid_file:
            save_uuid(uuid, self._uuid_file)

    def show(self) -> None:
        """Passes on what apps have written so far."""
        if self.handle is not None:
            for batch in self.handle.log_batches(follow=False):
                pass_on(batch)

    def abandon(self, *, remove: bool) -> str:
        """After a failed start: takes away what is not worth keeping, and waits for the end of the rest.

        Returns what to tell the user of what is kept.
        """
        if self.handle is None:
            return ""
        try:
            if remove or self.handle.status().state == "prepared":
                self.handle.remove(force=True)
                return ""
            self.handle.wait(timeout_s=_LAST_WORDS_S)
        except CarobError as error:
            self._context.debug(f"left to gc: {error.message}")
            return ""
        return f"its pod is kept: carob status {self.handle.uuid}"


def save_uuid(uuid: str, path: str) -> None:
    """Writes ``--uuid-file-save``."""
    from carob.engine.launch.uuid_file import write_uuid_to_file

    write_uuid_to_file(uuid, path)


def begin(
    context: Context,
    start: Start,
    *,
    uuid_file: str = "",
    remove: bool = False,
    handle: PodHandle | None = None,
    shows: bool = False,
) -> PodHandle:
    """Starts a pod; what is left of one that could not be started is removed, or kept with its logs.

    ``handle`` is that of a pod that is there already; one that another process runs is left alone. With
    ``shows``, what init apps wrote is passed on where one of them failed.
    """
    beginning = _Beginning(context, uuid_file, handle)
    try:
        handle = start(beginning.progress)
    except Conflict:
        raise
    except BaseException as error:
        _show_runtime_commands(context, beginning.handle)
        if shows and isinstance(error, AppStartFailed):
            beginning.show()
        kept = beginning.abandon(remove=remove or isinstance(error, Interrupted))
        if isinstance(error, CarobError):
            error.hint = error.hint or kept
        raise
    _show_runtime_commands(context, handle)
    return handle


def _show_runtime_commands(context: Context, handle: PodHandle | None) -> None:
    if not context.debugging or handle is None:
        return
    from carob.engine.observe.runtime_commands import runtime_commands, shown

    try:
        for argv in runtime_commands(context.engine.data_dir, handle.uuid):
            context.debug(f"init runs: {shown(argv)}")
    except CarobError:
        return


def detach(context: Context, start: Start, *, uuid_file: str = "", handle: PodHandle | None = None) -> int:
    """Starts a pod and leaves it running; its uuid on standard output."""
    with Interrupts(patient=False):
        try:
            handle = begin(context, start, uuid_file=uuid_file, handle=handle)
        except Interrupted:
            return exit_codes.INTERRUPTED
    return tell_uuid(handle, "runs")


def tell_uuid(handle: PodHandle, does: str) -> int:
    """Prints the uuid of a pod that now ``does`` something. Where that cannot be, it is in the error."""
    try:
        write(handle.uuid)
    except BrokenPipeError:
        say(f"pod {handle.uuid} {does}, but nobody reads its uuid")
        return exit_codes.BROKEN_PIPE
    except CarobError as error:
        error.message = f"pod {handle.uuid} {does}, but its uuid could not be printed: {error.message}"
        raise
    return exit_codes.SUCCESS


def attend(
    context: Context,
    start: Start,
    *,
    uuid_file: str = "",
    remove: bool,
    handle: PodHandle | None = None,
    session: Attach | None = None,
) -> int:
    """Starts a pod, passes its output on until it has ended, and tells its end by the exit status.

    ``session`` gives an app standard input meanwhile; a pod that is left by its keys runs on.
    """
    with Interrupts(patient=True) as interrupts:
        try:
            handle = begin(context, start, uuid_file=uuid_file, remove=remove, handle=handle, shows=True)
        except Interrupted:
            return exit_codes.INTERRUPTED
        interrupts.started(handle)
        try:
            return _attend(context, handle, interrupts, session)
        except Detached:
            remove = False
            say(f"pod {handle.uuid} runs on; carob attach goes back to it")
            return exit_codes.SUCCESS
        finally:
            if remove:
                _remove(handle)
                context.debug("removed")


def _remove(handle: PodHandle) -> None:
    """For ``--rm``: what hinders it is said, and changes nothing about how the pod ended."""
    try:
        handle.remove(force=True)
    except LostRace:
        return  # another removes it
    except CarobError as error:
        say_error(error)


def _attend(context: Context, handle: PodHandle, interrupts: Interrupts, session: Attach | None) -> int:
    if session is None:
        failed = _pass_all_on(handle, interrupts)
    else:
        with session(handle):
            failed = _pass_all_on(handle, interrupts)
    end = handle.wait()
    context.debug(f"ended: {end}")
    status = failed or exit_codes.of_ends(end.apps, end.outcome)
    if status == exit_codes.FAILED and not failed:
        say_unknown(end.apps)
    return status


def say_unknown(ends: Mapping[str, AppEnd]) -> None:
    """Tells of the apps whose end nobody saw: the exit status alone would be taken for carob's failure."""
    for name, end in ends.items():
        if isinstance(end, Unknown):
            say(f"how app {name} ended is not known: {end.reason}")


def _pass_all_on(handle: PodHandle, interrupts: Interrupts) -> int:
    """Passes on what the apps write until the pod is over; returns the exit status where that failed, or 0.

    Who runs a pod in the foreground wants its output: where that cannot be had, the pod is stopped.
    """
    try:
        for batch in handle.log_batches():
            pass_on(batch)
    except NotFound:
        return 0  # removed by another already: the record of its end is there
    except BrokenPipeError:
        status = exit_codes.BROKEN_PIPE
    except CarobError as error:
        say(f"the pod is stopped: {error.message}")
        status = exit_codes.FAILED
    else:
        return 0
    interrupts.stop()
    return status


def pass_on(batch: Sequence[tuple[str, LogEntry]]) -> None:
    """Writes what apps wrote to the caller's streams, byte for byte.

    Raises ``BrokenPipeError`` where nobody reads standard output any more, ``OutOfResources`` and its like
    where a stream cannot be written. That nobody reads standard error alone is passed over, as a terminal's
    loss must not end the pod's output.
    """
    stream = ""
    parts: list[bytes] = []
    for _, entry in batch:
        if entry.stream != stream:
            _flush(stream, parts)
            stream, parts = entry.stream, []
        parts.append(entry.output)
    _flush(stream, parts)


def _flush(stream: str, parts: list[bytes]) -> None:
    if not parts:
        return
    if stream == "stdout":
        write_bytes(b"".join(parts), STDOUT)
        return
    try:
        write_bytes(b"".join(parts), STDERR)
    except BrokenPipeError:
        return

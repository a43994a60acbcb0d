"""``carob run``."""

from __future__ import annotations

from carob.cli import foreground
from carob.cli.fetching import Fetching
from carob.cli.input_options import DETACH_KEYS, input_modes, session_for
from carob.cli.options import Arguments, Command, Option, UsageError
from carob.cli.output import say
from carob.cli.pod_options import DETAILS, FOR_ONE_APP, FOR_POD, docker_hint, request
from carob.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.handle import PodHandle
    from carob.engine.launch.supervision import Progress

RUNNING = (
    Option("--detach", "print the pod's uuid and leave it running", short="-d"),
    Option("--rm", "remove the pod at its end"),
    Option("--die-with-caller", "end and remove the pod if this command dies, in whatever way"),
    Option(
        "--sdnotify",
        "who says READY=1 to systemd: the monitor when the pod is ready, the app itself, or nobody",
        "WHO",
        choices=("ignore", "monitor", "conmon", "app", "container"),
    ),
    DETACH_KEYS,
)
"""How to run a pod; ``run-prepared`` has them too."""

COMMAND = Command(
    "run",
    "run a pod of one or several apps",
    "IMAGE [-- ARG…] [--- IMAGE2 [-- ARG…]]…",
    options=(*FOR_POD, *RUNNING),
    apps=FOR_ONE_APP,
    most=None,
    details=DETAILS
    + """

In the foreground, what the apps write goes to standard output and standard error as it is. SIGINT, SIGTERM
and SIGHUP reach the apps as their stop signal; SIGINT once more kills the pod. The exit status is the app's
own, 128 + n for signal n; of several apps, that of the first in order that failed. With --interactive
standard input goes to the app, with --tty the terminal; --detach-keys leave it, and the pod runs on.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Runs the pod; see ``carob.cli.exit_codes`` for what is returned."""
    detached, remove, tied = how_to_run(arguments)
    engine = context.engine
    wanted = request(arguments, context)
    session = None if detached else session_for(input_modes(wanted), arguments.text(DETACH_KEYS.name))
    context.debug("request read")

    def start(progress: Progress) -> PodHandle:
        try:
            with Fetching() as told:
                handle = engine.run_request(wanted, tied=tied, progress=progress, fetching=told, warn=say)
        except NotFound as error:
            error.hint = docker_hint(arguments, engine) or error.hint
            raise
        tell_manager(arguments, handle)
        return handle

    uuid_file = arguments.text("--uuid-file-save")
    if detached:
        return foreground.detach(context, start, uuid_file=uuid_file)
    return foreground.attend(context, start, uuid_file=uuid_file, remove=remove, session=session)


def tell_manager(arguments: Arguments, handle: PodHandle) -> None:
    """For ``--sdnotify``: the pod is ready."""
    if arguments.has("--sdnotify"):
        from carob.cli import sdnotify

        sdnotify.tell(arguments, handle)


def how_to_run(arguments: Arguments) -> tuple[bool, bool, bool]:
    """(detached, remove, tied), as ``RUNNING`` was given. Raises ``UsageError`` for what contradicts."""
    detached, remove, tied = (arguments.has(option.name) for option in RUNNING[:3])
    if detached and (remove or tied):
        other = "--rm" if remove else "--die-with-caller"
        raise UsageError(f"--detach and {other} do not go together", hint="carob gc removes ended pods")
    return detached, remove, tied

"""``carob prepare``."""

from __future__ import annotations

from carob.cli import foreground
from carob.cli.fetching import Fetching
from carob.cli.options import Arguments, Command
from carob.cli.output import say
from carob.cli.pod_options import DETAILS, FOR_ONE_APP, FOR_POD, docker_hint, request
from carob.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.handle import PodHandle
    from carob.engine.launch.supervision import Progress

COMMAND = Command(
    "prepare",
    "make a pod to be run later, and print its uuid",
    "IMAGE [-- ARG…] [--- IMAGE2 [-- ARG…]]…",
    options=FOR_POD,
    apps=FOR_ONE_APP,
    most=None,
    details=DETAILS,
)


def run(arguments: Arguments, context: Context) -> int:
    """Prepares the pod and prints its uuid."""
    engine = context.engine
    wanted = request(arguments, context)

    def prepare(progress: Progress) -> PodHandle:
        try:
            with Fetching() as told:
                return engine.prepare_request(wanted, progress=progress, fetching=told, warn=say)
        except NotFound as error:
            error.hint = docker_hint(arguments, engine) or error.hint
            raise

    handle = foreground.begin(context, prepare, uuid_file=arguments.text("--uuid-file-save"))
    return foreground.tell_uuid(handle, "is prepared")

"""``carob app sandbox``."""

from __future__ import annotations

from carob.cli import foreground
from carob.cli.app_words import WORDS, words
from carob.cli.options import Arguments, Command
from carob.cli.pod_options import FOR_APPS, FOR_POD, keywords
from carob.cli.resource_options import POD_LIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.handle import PodHandle
    from carob.engine.launch.supervision import Progress

_NOT_HERE = {
    *(option.name for option in FOR_APPS if option is not POD_LIMITS),
    *("--pod-manifest", "--isolation", "--pull", "--insecure-options"),
}

COMMAND = Command(
    "app sandbox",
    "make a mutable pod: it has no apps, and runs until it is stopped",
    options=(*[option for option in FOR_POD if option.name not in _NOT_HERE], *WORDS),
    details="""\
Prints the pod's uuid. carob app add, start, stop and rm change its apps, carob stop ends it.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Makes it and prints its uuid."""
    from carob.engine.request.pod import PodRequest

    wanted = PodRequest((), mutable=True, **keywords(arguments, context), **words(arguments))

    def start(progress: Progress) -> PodHandle:
        return context.engine.run_request(wanted, progress=progress)

    return foreground.detach(context, start, uuid_file=arguments.text("--uuid-file-save"))

"""``carob export``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option, UsageError
from carob.cli.output import write
from carob.cli.to_file import OUTPUT, ends_quietly, target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "export",
    "write the file system of a pod's app as a tar, or make an image of it",
    "UUID",
    options=(
        Option("--app", "which app, where the pod has several", "NAME"),
        Option("--image", "make an image of this name", "NAME"),
        OUTPUT,
    ),
    least=1,
    most=1,
    details="""Volumes are not in it. With --image the image's id is printed, and it is configured like
the app's image.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Exports; a pod that runs is exported as it is at this moment."""
    pod = context.engine.get(arguments.words[0])
    app, name = arguments.text("--app"), arguments.text("--image")
    if name and arguments.text("--output"):
        raise UsageError("--image and --output do not go together")
    if name:
        write(pod.commit(name, app=app).image_id)
    else:
        with ends_quietly():
            pod.export(target(arguments), app=app)
    return 0

"""``carob fetch``."""

from __future__ import annotations

from carob.cli.options import FORMAT, Arguments, Command, Option, UsageError
from carob.cli.output import say, write, write_json
from carob.cli.transfer_progress import INSECURE, PLATFORM, PROGRESS, PULL, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "fetch",
    "take in images from registries, archives, layouts and appc sites",
    "IMAGE…",
    options=(
        Option("--name", "the name the image gets here, in place of its own", "NAME"),
        PULL,
        PLATFORM,
        INSECURE,
        Option("--no-unpack", "leave unpacking to the first pod"),
        PROGRESS,
        FORMAT,
    ),
    least=1,
    most=None,
    details="""IMAGE is docker://HOST/NAME[:TAG][@DIGEST], or HOST/NAME…, or an alias of registries.toml;
oci:PATH[:REF], oci-archive:PATH[:REF], docker-archive:PATH[:REF], dir:PATH, tar:PATH; aci:FILE or URL, or
appc:NAME[:VERSION], which is looked for by discovery. Prints the ids of the images. What was interrupted
goes on where it was.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Fetches one after the other; each one's layers come side by side."""
    name = arguments.text("--name")
    if name and len(arguments.words) > 1:
        raise UsageError("--name is for one image", hint="fetch them one by one")
    found = []
    for address in arguments.words:
        with shown(arguments, address) as (progress, cancel):
            image = context.engine.images.fetch(
                address,
                name=name,
                pull=arguments.text("--pull") or "new",  # type: ignore[arg-type]
                platform=arguments.text("--platform"),
                insecure=arguments.text("--insecure-options") or "none",
                unpack=not arguments.has("--no-unpack"),
                progress=progress,
                cancel=cancel,
                warn=say,
            )
        found.append({"name": image.name, "image_id": image.image_id})
        if not arguments.text("--format"):
            write(image.image_id)
    if arguments.text("--format"):
        write_json(found[0] if len(found) == 1 else found, arguments.text("--format"))
    return 0

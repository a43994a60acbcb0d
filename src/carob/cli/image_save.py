"""``carob image save``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option
from carob.cli.to_file import OUTPUT, ends_quietly, target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image save",
    "write images as one archive, for podman load, docker load and skopeo",
    "NAME…",
    options=(
        OUTPUT,
        Option("--type", "the archive's format", "TYPE", choices=("oci-archive", "docker-archive")),
    ),
    least=1,
    most=None,
    details="podman 4.3 loads several images only from a docker-archive.",
)


def run(arguments: Arguments, context: Context) -> int:
    """Writes the archive, all or nothing where it is a file."""
    kind = arguments.text("--type") or "oci-archive"
    with ends_quietly():
        context.engine.images.save(arguments.words, target(arguments), format=kind)  # type: ignore[arg-type]
    return 0

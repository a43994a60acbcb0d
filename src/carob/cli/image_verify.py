"""``carob image verify``."""

from __future__ import annotations

from carob.cli.exit_codes import FAILED, SUCCESS
from carob.cli.options import FORMAT, Arguments, Command, Option
from carob.cli.output import say, size_text, write, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "image verify",
    "read all blobs and unpacked layers again, and compare them with their digests",
    options=(Option("--keep", "leave what is broken where it is"), FORMAT),
    details="""What is broken is put aside, below images/.quarantine in the data directory, and
fetched again with the next fetch of its image. The exit status is 125 where anything is
broken.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Verifies and prints how much was read; each broken object is said."""
    done = context.engine.images.verify(quarantine=not arguments.has("--keep"))
    how = arguments.text("--format")
    if how:
        broken = [{slot: getattr(one, slot) for slot in one.__slots__} for one in done.broken]
        write_json(
            {
                "blobs": done.blobs,
                "blob_bytes": done.blob_bytes,
                "layers": done.layers,
                "unrecorded": list(done.unrecorded),
                "broken": broken,
            },
            how,
        )
    else:
        write(f"{done.blobs} blobs ({size_text(done.blob_bytes)}), {done.layers} layers")
    for chain_id in done.unrecorded:
        say(f"layer {chain_id}: not checked, as there is no record of it that this carob reads")
    for one in done.broken:
        say(f"{one.kind} {one.name}: {one.problem}" + (f"; moved to {one.moved_to}" if one.moved_to else ""))
    return FAILED if done.broken else SUCCESS

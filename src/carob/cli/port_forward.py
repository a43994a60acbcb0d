"""``carob port-forward``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command
from carob.cli.output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "port-forward",
    "have ports here lead into a running pod, whatever its network",
    "UUID [ADDRESS:]LOCAL:REMOTE…",
    least=2,
    most=None,
    details="""\
LOCAL alone stands for LOCAL:LOCAL, and :REMOTE for any free port here. ADDRESS is 127.0.0.1 by default. What
listens on the pod's loopback (127.0.0.1, else ::1) is reached; only TCP. Prints where it listens, and goes on
until it is interrupted or the pod has ended.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Forwards."""
    from carob.engine.forward.spec import parse

    uuid, *words = arguments.words
    targets = [parse(word).pod_port for word in words]
    with context.engine.get(uuid).port_forward(*words) as forward:
        for (address, port), target in zip(forward.ports, targets, strict=True):
            shown = f"[{address}]" if ":" in address else address
            write(f"{shown}:{port} -> {target}")
        forward.wait()
    return 0

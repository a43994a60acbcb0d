"""``carob cp``."""

from __future__ import annotations

from carob.cli.options import Arguments, Command, Option, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

COMMAND = Command(
    "cp",
    "copy files into or out of a pod's app",
    "SOURCE TARGET",
    options=(
        Option("--app", "which app, where the pod has several", "NAME"),
        Option("--follow-link", "copy what a link leads to, not the link", short="-L"),
        Option("--archive", "as it is anyway: owners, modes, times and attributes are kept", short="-a"),
    ),
    least=2,
    most=2,
    details="""\
One of the two is UUID:PATH, with an absolute path in the app, the other a path here, or - for a tar on
standard input or output. A directory goes into a directory that is there, and else becomes the one named;
DIRECTORY/. is what is in it.

Into a pod that runs; out of one that is prepared, runs or has ended. What comes out to a path here is no
device and has no set-id bits or capabilities; a tar has all.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Copies."""
    from carob.cli.to_file import ends_quietly

    source, target = map(_in_pod, arguments.words)
    app, follow = arguments.text("--app") or None, arguments.has("--follow-link")
    given, wanted = arguments.words
    if source is not None and target is None:
        pod = context.engine.get(source[0])
        with ends_quietly():
            pod.copy_out(source[1], _output() if wanted == "-" else wanted, app=app, follow_links=follow)
    elif target is not None and source is None:
        pod = context.engine.get(target[0])
        pod.copy_in(_input() if given == "-" else given, target[1], app=app, follow_links=follow)
    else:
        raise UsageError("one of the two, and only one, is in a pod", hint="such as carob cp FILE UUID:/tmp")
    return 0


def _in_pod(word: str) -> tuple[str, str] | None:
    """The uuid and the path of ``UUID:PATH``; ``None`` for a path here."""
    uuid, colon, path = word.partition(":")
    if not colon or "/" in uuid or not uuid or uuid.startswith("."):
        return None
    return uuid, path


def _output() -> int:
    import os

    from carob.cli.output import STDOUT

    if os.isatty(STDOUT):
        raise UsageError("standard output is a terminal", hint="pass it on: carob cp UUID:PATH - | tar -t")
    return STDOUT


def _input() -> int:
    import os

    if os.isatty(0):
        raise UsageError("standard input is a terminal", hint="give a tar: tar -c . | carob cp - UUID:PATH")
    return 0

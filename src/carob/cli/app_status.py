"""``carob app status``."""

from __future__ import annotations

from carob.cli.app_words import APP, named
from carob.cli.options import FORMAT, Arguments, Command
from carob.cli.output import printable, time_text, write, write_json
from carob.engine.observe.ends import shell_code
from carob.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.observe.status import AppStatus

COMMAND = Command(
    "app status",
    "tell the state of an app of a pod",
    "UUID [APP]",
    options=(APP, FORMAT),
    least=1,
    most=2,
    details="""\
As text, one KEY=VALUE a line: name, state, image, image_id, created_at, started_at, finished_at, exit_code as
a shell has it, restarts, log_path, mounts, user_labels and user_annotations, where there are such.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Prints it."""
    pod, name = named(arguments, context)
    try:
        found = pod.status().app(name)
    except KeyError:
        raise NotFound(
            f"pod {pod.uuid} has no app {name!r}",
            hint=f"its apps: {', '.join(app.name for app in pod.status().apps) or 'none'}",
        ) from None
    how = arguments.text("--format")
    if how:
        from carob.engine.observe.views import app_document

        write_json(app_document(found), how)
    else:
        write("\n".join(_lines(found)))
    return 0


def _lines(app: AppStatus) -> list[str]:
    pairs = [
        ("name", app.name),
        ("state", app.state),
        ("image", app.image),
        ("image_id", app.image_id),
        ("created_at", time_text(app.created_ns)),
        ("started_at", time_text(app.started_ns)),
        ("finished_at", time_text(app.finished_ns)),
        ("exit_code", "" if app.end is None else shell_code(app.end)),
        ("restarts", app.restarts or ""),
        ("log_path", app.log_path),
        ("mounts", ",".join([f"{one.get('source', one['kind'])}:{one['target']}" for one in app.mounts])),
        ("user_labels", _joined(app.labels)),
        ("user_annotations", _joined(app.annotations)),
    ]
    return [f"{key}={printable(str(value))}" for key, value in pairs if value != ""]


def _joined(words: dict[str, str]) -> str:
    return ",".join([f"{key}:{value}" for key, value in words.items()])

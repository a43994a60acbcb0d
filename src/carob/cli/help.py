"""``carob help``, and ``--help`` of every verb: text from the verbs' declarations."""

from __future__ import annotations

from carob.cli.commands import GROUPS, VERBS, Verb
from carob.cli.options import GLOBAL, Arguments, Command, Option, UsageError
from carob.cli.output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from carob.cli.context import Context

COMMAND = Command(
    "help", "show the verbs, or what one takes", "[VERB]", most=2, details="The same as carob VERB --help."
)
_WIDTH = 100
_COLUMN = 30


def run(arguments: Arguments, context: Context) -> int:
    """Prints the help."""
    name = " ".join(arguments.words)
    if not name:
        write(overview())
    elif name in VERBS:
        write(of_command(Verb(name).command))
    elif name in GROUPS:
        write(overview([verb for verb in VERBS if verb.startswith(f"{name} ")], f"{name} "))
    else:
        from carob.cli import suggestions

        raise UsageError(f"unknown verb {name!r}", hint=suggestions.verb(name, VERBS))
    return 0


def overview(verbs: Sequence[str] = tuple(VERBS), group: str = "") -> str:
    """All verbs, or those of a group, and the options that all have."""
    lines = ["carob runs pods without a daemon.", "", f"usage: carob [OPTIONS] {group}VERB …", "", "verbs:"]
    width = max(map(len, verbs)) + 2
    lines += [f"  {name:<{width}}{Verb(name).command.summary}" for name in verbs]
    lines += ["", "options of every verb:", *_options(GLOBAL), "", "carob help VERB tells what a verb takes."]
    return "\n".join(lines) + "\n"


def of_command(command: Command) -> str:
    """All that a verb takes."""
    options = " [OPTIONS]" if command.options else ""
    lines = [f"usage: carob {command.name}{options} {command.words}".rstrip(), "", command.summary]
    if command.details:
        lines += ["", command.details]
    lines += ["", "options:", *_options((*command.options, *GLOBAL))]
    if command.apps:
        lines += ["", "options of an app, after its image:", *_options(command.apps)]
    return "\n".join(lines) + "\n"


def _options(options: Sequence[Option]) -> list[str]:
    lines = []
    for option in options:
        shown = "  " + shown_names(option)
        words = option.help + (f": {' or '.join(option.choices)}" if option.choices else "")
        text = _wrapped(words, _WIDTH - _COLUMN)
        if len(shown) > _COLUMN - 2:
            lines.append(shown)
            shown = ""
        for line in text:
            lines.append(f"{shown:<{_COLUMN}}{line}")
            shown = ""
    return lines


def shown_names(option: Option) -> str:
    """``-f, --follow``, or ``--tail LINES``."""
    names = f"{option.short}, {option.name}" if option.short else option.name
    if not option.value:
        return names
    return f"{names}[={option.value}]" if option.optional else f"{names} {option.value}"


def _wrapped(text: str, width: int) -> list[str]:
    from textwrap import wrap

    return wrap(text, width)

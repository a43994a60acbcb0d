"""``carob``: finds the verb, lets it work, and turns what happens into words and an exit status."""

from __future__ import annotations

import os
import sys

from carob.cli import exit_codes
from carob.cli.commands import GROUPS, VERBS, Verb
from carob.cli.context import Context
from carob.cli.options import GLOBAL, Tokens, UsageError, by_name, is_option, parse, take_options
from carob.cli.output import guard_standard_streams, say, say_error
from carob.errors import CarobError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from carob.cli.options import Option
    from carob.engine.launch.supervision import Supervision


def main(
    argv: Sequence[str] | None = None,
    *,
    launcher: tuple[str, ...] = (),
    begun: Supervision | None = None,
) -> int:
    """Runs one command line (by default the process's own) and returns the exit status.

    ``launcher`` goes before the supervisor's program, for coverage runs; ``begun`` has what ``entry`` started
    already. Nothing is raised.
    """
    guard_standard_streams()
    # Others may be kept out of what is made, but not its owner, that is carob itself the next time.
    os.umask(os.umask(0o077) & 0o077)
    context = Context(launcher, begun)
    try:
        return _run(list(sys.argv[1:] if argv is None else argv), context)
    except BrokenPipeError:
        return exit_codes.BROKEN_PIPE
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except CarobError as error:
        say_error(error)
        return exit_codes.of_error(error)
    except Exception as error:  # noqa: BLE001 - the last one to see it
        return _unexpected(error, context)


def _run(words: list[str], context: Context) -> int:
    tokens = Tokens(words)
    given = _global_options(tokens)
    name = _verb_name(tokens)
    verb = Verb(name or "help")
    arguments = verb.parse(tokens.rest())
    for option, value in given:
        arguments.put(option, value)
    if arguments.has("--help") and name not in ("", "help"):
        verb, arguments = Verb("help"), parse(Verb("help").command, name.split())
    context.debugging = arguments.has("--debug")
    context.data_dir_flag = arguments.text("--dir")
    status = verb.run(arguments, context)
    context.debug(f"exit status {status}")
    return status


def _global_options(tokens: Tokens) -> list[tuple[Option, str]]:
    """The options before the verb, which is then the next token."""
    known = by_name(GLOBAL)
    found: list[tuple[Option, str]] = []
    while tokens.more() and is_option(tokens.peek()) and tokens.peek() not in _VERSION:
        found += take_options(tokens.take(), tokens, known)
    return found


_VERSION = ("--version", "-V")


def _verb_name(tokens: Tokens) -> str:
    """The verb, of one word or two; ``""`` where there is none. Raises ``UsageError``."""
    if not tokens.more():
        return ""
    name = tokens.take()
    if name in _VERSION:
        return "version"
    if name in GROUPS and tokens.more() and not is_option(tokens.peek()):
        name = f"{name} {tokens.take()}"
    if name in VERBS:
        return name
    if name in GROUPS:
        words = ", ".join(verb for verb in VERBS if verb.startswith(name + " "))
        if tokens.more():  # an option: --help, or one that help does not know
            return "help"
        raise UsageError(f"carob {name} needs a second word", hint=f"one of: {words}")
    from carob.cli import suggestions

    raise UsageError(f"unknown verb {name!r}", hint=suggestions.verb(name, VERBS))


def _unexpected(error: Exception, context: Context) -> int:
    """A failure that carob has no name for: one line, and with --debug where it came from."""
    if context.debugging:
        from traceback import print_exception

        print_exception(error)
    hint = "" if context.debugging else " (--debug shows where)"
    say(f"{type(error).__name__}: {error}{hint}")
    return exit_codes.FAILED

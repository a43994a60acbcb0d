"""rkt's grammar for the apps of a pod: ``[POD OPTIONS] IMAGE [APP OPTIONS] [-- ARG…] [--- IMAGE2 …]``.

What stands before the first image is for the whole pod, what stands after an image is for its app. So
``--name`` before is the pod's name and after is the app's; ``--env`` before is for every app. Options that
only a pod can have may stand anywhere but among an app's arguments. ``--`` begins those, ``---`` ends them.
"""

from __future__ import annotations

from carob.cli.options import GLOBAL, Arguments, Tokens, UsageError, by_name, is_option, take_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carob.cli.options import Command, Option


class AppWords:
    """One app as it was asked for: its ``image``, its own ``options``, and its ``arguments``.

    ``arguments`` is ``None`` where there was no ``--``.
    """

    __slots__ = ("arguments", "image", "options")

    def __init__(self, image: str) -> None:
        self.image = image
        self.options = Arguments()
        self.arguments: list[str] | None = None


class PodArguments(Arguments):
    """The options of the pod, those for every app among them, and the ``apps``."""

    __slots__ = ("apps", "command")

    def __init__(self, command: Command) -> None:
        super().__init__()
        self.command = command
        self.apps: list[AppWords] = []


def parse(command: Command, words: Sequence[str]) -> PodArguments:
    """What was given. Raises ``UsageError``, with a hint for whoever forgot the ``--``."""
    arguments = PodArguments(command)
    tokens = Tokens(words)
    of_pod, of_app = by_name((*command.options, *GLOBAL)), by_name(command.apps)
    if command.one_app:
        of_pod = {**of_app, **of_pod}
    ended = True  # no app is open: at the start and after ---
    while tokens.more():
        word = tokens.take()
        if word == "---":
            if ended:
                raise UsageError("--- ends the arguments of an app, and here is none")
            ended = True
        elif word == "--":
            _take_arguments(arguments, tokens, ended=ended)
            ended = True
        elif not is_option(word):
            if not word:
                raise UsageError("an image's name is empty")
            arguments.apps.append(AppWords(word))
            ended = False
        else:
            _take_option(arguments, word, tokens, of_pod, of_app, ended=ended)
    return arguments


def _take_arguments(arguments: PodArguments, tokens: Tokens, *, ended: bool) -> None:
    if ended:
        raise UsageError("-- begins the arguments of an app, and there is no image before it")
    app = arguments.apps[-1]
    app.arguments = []
    while tokens.more():
        word = tokens.take()
        if word == "---":
            return
        app.arguments.append(word)


def _take_option(
    arguments: PodArguments,
    word: str,
    tokens: Tokens,
    of_pod: Mapping[str, Option],
    of_app: Mapping[str, Option],
    *,
    ended: bool,
) -> None:
    try:
        found = take_options(word, tokens, {**of_pod, **of_app} if arguments.apps else of_pod)
    except UsageError as error:
        name = word.partition("=")[0]
        if not arguments.apps and name in of_app and name not in of_pod:
            raise UsageError(f"{name} is for one app", hint="put it after the app's image") from None
        if forgotten := forgotten_dashes(arguments, word, *tokens.rest()):
            raise UsageError(error.message, hint=forgotten) from None
        raise
    for option, value in found:
        own = of_app.get(option.name)
        if not arguments.apps or own is None:
            arguments.put(option, value)
        elif ended:
            raise UsageError(
                f"{option.name} stands between two apps", hint="put it after the image that it is for"
            )
        else:
            arguments.apps[-1].options.put(own, value)


def forgotten_dashes(arguments: PodArguments, *more: str) -> str:
    """A hint for ``run IMAGE COMMAND …``, as other engines have it; ``""`` where that is not it."""
    apps, command = arguments.apps, arguments.command
    if any(app.arguments is not None for app in apps):
        return ""
    before = 2 if command.one_app else 1  # the pod's uuid and the image, or the image
    said = [app.image for app in apps]
    words = [*said[before:], *more]
    if len(said) < before or not words:
        return ""
    from shlex import join

    return f"an app's arguments go after --: carob {command.name} {join(said[:before])} -- {join(words)}"

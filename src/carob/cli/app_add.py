"""``carob app add``."""

from __future__ import annotations

from carob.cli.app_grammar import PodArguments
from carob.cli.app_words import APP, WORDS, words
from carob.cli.fetching import Fetching
from carob.cli.options import Arguments, Command, Option, UsageError
from carob.cli.output import say, write
from carob.cli.pod_options import FOR_ONE_APP, FOR_POD, apps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.cli.context import Context

_AS_FOR_PODS = ("--pull", "--insecure-options")

COMMAND = Command(
    "app add",
    "add an app to a mutable pod that runs; carob app start starts it",
    "UUID IMAGE [-- ARG…]",
    options=(
        Option(
            "--pid", "whose processes it sees: private, pod, host or app:NAME (default: the pod's)", "WHOSE"
        ),
        Option("--log-path", "write its log to this file, in a directory that is there", "PATH"),
        *[option for option in FOR_POD if option.name in _AS_FOR_PODS],
        *WORDS,
    ),
    apps=(APP, *FOR_ONE_APP),
    one_app=True,
    most=None,
    details="""\
Prints the app's name. It is made, its mounts and limits included, and waits to be started. --name, or rkt's
--app, gives it another name than its image's.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Adds it and prints its name."""
    from carob.engine.sandbox.addition import Addition

    assert isinstance(arguments, PodArguments)
    if len(arguments.apps) != 2 or arguments.apps[0].arguments is not None:
        raise UsageError("carob app add needs UUID IMAGE", hint=f"usage: carob app add {COMMAND.words}")
    place, wanted = arguments.apps
    wanted.options = _of_app(arguments, place.options, wanted.options)
    settings = context.settings
    pull: Any = arguments.text("--pull") or settings.text("pull")
    addition = Addition(
        apps(Arguments(), [wanted])[0],
        pid=arguments.text("--pid") or None,
        log_path=arguments.text("--log-path") or None,
        pull=pull,
        insecure=arguments.text("--insecure-options") or "none",
        **words(arguments),
    )
    with Fetching() as told:
        write(context.engine.get(place.image).add_request(addition, fetching=told, warn=say))
    return 0


def _of_app(*given: Arguments) -> Arguments:
    """What is for the app, wherever it stood; rkt's ``--app`` is its name."""
    options = Arguments()
    for one in given:
        for option in COMMAND.apps:
            for value in one.texts(option.name):
                options.put(option, value)
    if not options.has("--name") and options.has(APP.name):
        options.put(Option("--name", "", "NAME"), options.text(APP.name))
    return options

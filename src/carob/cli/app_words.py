"""What the verbs of ``carob app`` share: how a pod and an app of it are named, and words of one's own."""

from __future__ import annotations

from carob.cli.options import Arguments, Option, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.cli.context import Context
    from carob.engine.handle import PodHandle

APP = Option("--app", "the app's name", "NAME")
WORDS = (
    Option("--label", "note a word of your own, of any form", "NAME=VALUE", many=True),
    Option("--user-label", "rkt's name for --label", "NAME=VALUE", many=True),
    Option("--user-annotation", "note another word, which is shown apart", "NAME=VALUE", many=True),
)


def named(arguments: Arguments, context: Context) -> tuple[PodHandle, str]:
    """The pod and the app's name: ``UUID APP``, or ``UUID --app=APP``. Raises ``UsageError``."""
    uuid, *names = arguments.words
    names += [text for text in (arguments.text(APP.name),) if text]
    if len(names) != 1:
        raise UsageError(
            "which app?" if not names else f"two apps: {names[0]} and {names[1]}", hint="--app=NAME"
        )
    return context.engine.get(uuid), names[0]


def words(*given: Arguments) -> dict[str, Any]:
    """Keywords of who makes a pod or adds an app. Raises ``UsageError``."""
    labels, annotations = [
        dict([_pair(text, name) for name in names for one in given for text in one.texts(name)])
        for names in (("--label", "--user-label"), ("--user-annotation",))
    ]
    return {"labels": labels, "user_annotations": annotations}


def _pair(text: str, name: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(f"{name}: {text!r} is no pair", hint=f"such as {name} tier=front")
    return key, value

"""What somebody may have meant: the nearest known word, and the words of other engines."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ELSEWHERE = {
    "create": "prepare",
    "exec": "enter",
    "images": "image list",
    "inspect": "status",
    "kill": "stop --force",
    "load": "image import",
    "log": "logs",
    "ls": "list",
    "ps": "list",
    "remove": "rm",
    "rmi": "image rm",
    "start": "run-prepared",
    "wait": "status --wait",
}
"""Verbs of docker and podman, and carob's."""


def nearest(word: str, known: Iterable[str]) -> str:
    """``did you mean …?`` for the known word that is least changes away; ``""`` where none is near."""
    from difflib import get_close_matches

    matches = get_close_matches(word, [one for one in known if len(one) > 2], 1, 0.72)
    return f"did you mean {matches[0]}?" if matches else ""


def verb(word: str, known: Iterable[str]) -> str:
    """The same for verbs."""
    if word in ELSEWHERE:
        return f"carob's word for that is: carob {ELSEWHERE[word]}"
    return nearest(word, known) or "carob help lists the verbs"

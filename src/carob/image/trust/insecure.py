"""What a user gives up on purpose: the words of rkt's ``--insecure-options`` that are about images."""

from __future__ import annotations

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

WORDS = ("image", "tls", "http", "pubkey")
_HINT = "none, all, all-fetch, or some of image, tls, http, pubkey"
_SETS = {"none": (), "all-fetch": WORDS, "all": WORDS}


class Insecure:
    """Which checks are left out. Immutable; ``Insecure()`` leaves out none.

    - ``image``: signatures of images are not asked for.
    - ``tls``: any certificate of a server is good.
    - ``http``: images, signatures and keys may come unencrypted.
    - ``pubkey``: keys too may come from a server that was not proved, which ``tls`` and ``http`` alone do not
      allow.
    """

    __slots__ = ("http", "image", "pubkey", "tls")

    image: bool
    tls: bool
    http: bool
    pubkey: bool

    def __init__(
        self, *, image: bool = False, tls: bool = False, http: bool = False, pubkey: bool = False
    ) -> None:
        set_slot = object.__setattr__
        set_slot(self, "image", image)
        set_slot(self, "tls", tls)
        set_slot(self, "http", http)
        set_slot(self, "pubkey", pubkey)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Insecure does not change: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return parse_insecure, (str(self),)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Insecure):
            return NotImplemented
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return ",".join(word for word in WORDS if getattr(self, word)) or "none"

    def __repr__(self) -> str:
        return f"Insecure({str(self)!r})"


def parse_insecure(text: str | Iterable[str]) -> Insecure:
    """Parses ``image,http``, ``none``, ``all-fetch`` or ``all``; ``InvalidInput`` for another word."""
    words: list[Any] = []
    try:
        words += text.split(",") if isinstance(text, str) else text
    except TypeError:
        words = [text]
    if not all(isinstance(word, str) for word in words):
        raise InvalidInput(f"insecure options are words, not {text!r:.100}", hint=_HINT)
    given: set[str] = set()
    for word in filter(None, (word.strip() for word in words)):
        if word not in WORDS and word not in _SETS:
            raise InvalidInput(f"there is no insecure option {word!r}", hint=_HINT)
        given.update(_SETS.get(word, (word,)))
    return Insecure(**dict.fromkeys(given, True))

"""``WWW-Authenticate``: what a server asks for (RFC 9110, 11.6.1), read from whatever it sent.

    challenges = challenge *( "," challenge )
    challenge  = scheme [ 1*SP ( token68 / parameter *( "," parameter ) ) ]

The comma parts challenges and parameters alike, so what follows one is a parameter if ``name =`` comes next.
"""

from __future__ import annotations

_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~")
_TOKEN68 = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/")
_LIMIT = 32
"""So many challenges, and parameters of one, are read."""


class Challenge:
    """One challenge: ``scheme`` and the names of ``parameters`` in lower case."""

    __slots__ = ("parameters", "scheme")

    def __init__(self, scheme: str, parameters: dict[str, str]) -> None:
        self.scheme = scheme
        self.parameters = parameters

    def __repr__(self) -> str:
        return f"Challenge({self.scheme!r}, {self.parameters!r})"


def parse_challenges(values: list[str]) -> list[Challenge]:
    """The challenges of all the header's lines, in order. What is not well formed ends the reading of its
    line; what came before it counts. Of a parameter that comes twice the first counts.
    """
    found: list[Challenge] = []
    for value in values:
        reader = _Reader(value)
        while len(found) < _LIMIT:
            reader.skip(" \t,")
            scheme = reader.token()
            if not scheme or reader.peek() not in ("", " ", "\t", ","):
                break
            challenge = Challenge(scheme.lower(), {})
            found.append(challenge)
            if not _read_parameters(reader, challenge.parameters):
                break
    return found


def _read_parameters(reader: _Reader, parameters: dict[str, str]) -> bool:
    """Takes what belongs to one challenge; whether the reading may go on."""
    if reader.token68():
        return True
    while len(parameters) < _LIMIT:
        before = reader.position
        reader.skip(" \t,")
        name = reader.token().lower()
        reader.skip(" \t")
        if not name or reader.peek() != "=":
            reader.position = before  # the next challenge's scheme, or the end
            return True
        reader.position += 1
        reader.skip(" \t")
        value = reader.quoted() if reader.peek() == '"' else reader.token()
        if value is None or (not value and reader.text[reader.position - 1] != '"'):
            return False
        parameters.setdefault(name, value)
        reader.skip(" \t")
        if reader.peek() not in ("", ","):
            return False
    return False


class _Reader:
    __slots__ = ("position", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def skip(self, characters: str) -> None:
        while self.peek() and self.peek() in characters:
            self.position += 1

    def token(self) -> str:
        start = self.position
        while self.peek() in _TOKEN:
            self.position += 1
        return self.text[start : self.position]

    def token68(self) -> bool:
        """Passes over a token68, which fills all up to the next comma; else stays where it is."""
        before = self.position
        self.skip(" \t")
        start = self.position
        while self.peek() in _TOKEN68:
            self.position += 1
        some = self.position > start
        while self.peek() == "=":
            self.position += 1
        self.skip(" \t")
        if some and self.peek() in ("", ","):
            return True
        self.position = before
        return False

    def quoted(self) -> str | None:
        """A quoted string, without its escapes; ``None`` where its end is missing."""
        pieces: list[str] = []
        position = self.position + 1
        while position < len(self.text):
            character = self.text[position]
            position += 1
            if character == '"':
                self.position = position
                return "".join(pieces)
            if character == "\\" and position < len(self.text):
                character = self.text[position]
                position += 1
            pieces.append(character)
        return None

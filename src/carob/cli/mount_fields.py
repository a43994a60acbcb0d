"""``KEY=VALUE,KEY,…``: what the options for mounts have in common."""

from __future__ import annotations

import os

from carob.cli.options import UsageError
from carob.cli.resource_options import size_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_FLAGS = {"true": True, "1": True, "": True, "false": False, "0": False}


class Fields:
    """The fields of one option; each is taken once, and none may be left."""

    __slots__ = ("_left", "_option")

    def __init__(self, option: str, text: str) -> None:
        """Reads ``text``; a field with a comma in it stands in ``"``, as in a table (RFC 4180)."""
        self._option = option
        self._left: dict[str, str] = {}
        for part in parts(option, text):
            key, _, value = part.partition("=")
            if not key or key in self._left:
                raise UsageError(f"{option}: cannot take {part!r}", hint="KEY=VALUE, each once")
            self._left[key] = value

    def text(self, *names: str) -> str:
        """The value under one of these names, which mean the same; ``""`` where it is not given."""
        value = self._take(names)
        if value == "":
            raise UsageError(f"{self._option}: {names[0]} has no value", hint=f"{names[0]}=VALUE")
        return value or ""

    def _take(self, names: tuple[str, ...]) -> str | None:
        given = [name for name in names if name in self._left]
        if len(given) > 1:
            raise UsageError(f"{self._option}: {' and '.join(given)} are the same")
        return self._left.pop(given[0]) if given else None

    def flag(self, *names: str) -> bool | None:
        """True or false; a name alone is true. ``None`` where it is not given."""
        value = self._take(names)
        if value is not None and value not in _FLAGS:
            raise UsageError(f"{self._option}: {names[0]} is true or false, not {value!r}")
        return None if value is None else _FLAGS[value]

    def number(self, name: str) -> int | None:
        """A whole number."""
        return self._whole((name,), 10, "a number")

    def mode(self, *names: str) -> int | None:
        """An octal number."""
        return self._whole(names, 8, "an octal number")

    def _whole(self, names: tuple[str, ...], base: int, what: str) -> int | None:
        text = self.text(*names)
        if not text:
            return None
        try:
            return int(text, base)
        except ValueError:
            raise UsageError(f"{self._option}: {names[0]} is {what}, not {text!r}") from None

    def size(self, *names: str) -> int | None:
        """Bytes, from ``64m``."""
        text = self.text(*names)
        return size_bytes(text, f"{self._option}: {names[0]}") if text else None

    def finish(self, known: str) -> None:
        """Raises ``UsageError`` where something is left that nobody took."""
        for key in self._left:
            raise UsageError(f"{self._option}: cannot take {key!r}", hint=f"it knows {known}")


def parts(option: str, text: str) -> Sequence[str]:
    """What has commas between; a part with a comma in it stands in ``"``."""
    if '"' not in text:
        return text.split(",") if text else []
    import csv

    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise UsageError(f"{option}: {text!r}: {error}") from None
    return rows[0] if rows else []


def host_path(option: str, source: str) -> str:
    """``./x`` and ``../x`` are seen from the caller's directory; anything else must be absolute."""
    if source.split("/", 1)[0] in (".", ".."):
        return os.path.abspath(source)
    if not source.startswith("/"):
        raise UsageError(
            f"{option}: {source!r} is no absolute path", hint=f"./{source} for one below this directory"
        )
    return source


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in options.items() if value is not None}

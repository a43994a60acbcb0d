"""What callers give, checked before anything is done with it.

Each function returns the value as it is used from then on, or raises ``InvalidInput`` with ``what``, the
words for the argument. Types are looked at too: a library's callers are programs, and a wrong type found late
would be a raw error from deep inside, or worse, taken for something else.
"""

from __future__ import annotations

import os

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST_WORD_BYTES = 131071
"""The kernel takes no longer argument or variable (MAX_ARG_STRLEN, execve(2))."""
HIGHEST_ID = 0xFFFFFFFE
"""One less than (uid_t) -1, which means none (chown(2))."""
LONGEST_GRACE_S = 365 * 86400
FOR_EVER_S = float("inf")
_LONGEST_TIMEOUT_S = 100 * 365 * 86400.0
_SHORTEST_START_S = 0.001
_LONGEST_START_S = 20 * 86400.0
LAST_SIGNAL = 64
_LONGEST_HOST_NAME = 64
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


def unicode(value: Any, what: str) -> str:
    """A string that can be written as UTF-8."""
    if not isinstance(value, str):
        raise InvalidInput(f"{what} is a string, not {_shown(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidInput(
                f"{what} is not Unicode: {value!r}", hint="it is written as UTF-8, which has no other bytes"
            ) from None
    return value


def text(value: Any, what: str) -> str:
    """The same without NUL."""
    if "\0" in unicode(value, what):
        raise InvalidInput(f"{what} has a NUL in it: {value!r}")
    return str(value)


def word(value: Any, what: str) -> str:
    """A string that a process can be given as an argument."""
    text(value, what)
    if len(value) > LONGEST_WORD_BYTES // 4 and len(value.encode()) > LONGEST_WORD_BYTES:
        raise InvalidInput(
            f"{what} is too long: {len(value.encode())} bytes",
            hint=f"the kernel takes {LONGEST_WORD_BYTES}: give much of it in a file",
        )
    return str(value)


def words(value: Any, what: str, *, one: str) -> tuple[str, ...]:
    """A sequence of such strings; ``one`` are the words for each of them."""
    if isinstance(value, str | bytes | bytearray):
        raise InvalidInput(f"{what} is a sequence of words, not one string", hint='["sh", "-c", "…"]')
    return tuple([word(each, one) for each in items(value, what)])


def items(value: Any, what: str) -> tuple[Any, ...]:
    """What a sequence or any other iterable has in it."""
    try:
        return tuple(value)
    except TypeError:
        raise InvalidInput(f"{what} is a sequence, not {_shown(value)}") from None


def environment(value: Any, what: str) -> dict[str, str]:
    """Variables by name; ``None`` is none of them."""
    found = {} if value is None else _mapping(value, what)
    for name, content in found.items():
        word(name, f"a name in {what}")
        word(content, f"{name} in {what}")
        if not name or "=" in name:
            raise InvalidInput(f"not an environment variable: {name!r}={content!r}")
    return found


def texts(value: Any, what: str) -> dict[str, str]:
    """Strings by string; ``None`` is none of them."""
    found = {} if value is None else _mapping(value, what)
    for name, content in found.items():
        text(name, f"a name in {what}")
        text(content, f"{name} in {what}")
    return found


def _mapping(value: Any, what: str) -> dict[Any, Any]:
    # Whatever has items() and keys() will do; a list of pairs is most likely a mistake.
    if not hasattr(value, "keys"):
        raise InvalidInput(f"{what} is a mapping, not {_shown(value)}")
    return dict(value)


def path(value: Any, what: str) -> str:
    """A path, as a string or an ``os.PathLike`` of one. Bytes are none here: paths are written as text."""
    try:
        found = os.fspath(value)
    except TypeError:
        raise InvalidInput(f"{what} is a path, not {_shown(value)}") from None
    if not isinstance(found, str):
        raise InvalidInput(f"{what} is a path as a string, not {_shown(value)}", hint="os.fsdecode makes one")
    if not found:
        raise InvalidInput(f"{what} is empty")
    if "\0" in found:
        raise InvalidInput(f"{what} has a NUL in it: {found!r}")
    if not found.isascii():
        try:
            os.fsencode(found)
        except UnicodeEncodeError:
            raise InvalidInput(f"{what} is no path: {found!r}") from None
    return found


def absolute_path(value: Any, what: str) -> str:
    """A path that begins at the root, in Unicode: it is written down as JSON."""
    found = text(path(value, what), what)
    if not found.startswith("/"):
        raise InvalidInput(f"{what} is an absolute path, not {found!r}")
    return found


def flag(value: Any, what: str) -> bool:
    """True or false; whatever else could be taken for either is a mistake."""
    if not isinstance(value, bool):
        raise InvalidInput(f"{what} is True or False, not {_shown(value)}")
    return value


def whole(value: Any, what: str, least: int, most: int) -> int:
    """A whole number between ``least`` and ``most``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInput(f"{what} is a whole number, not {_shown(value)}")
    if not least <= value <= most:
        raise InvalidInput(f"{what} is from {least} to {most}, not {value}")
    return int(value)  # of an enum, such as signal.SIGTERM


def seconds(value: Any, what: str, most: float) -> float:
    """A time from 0 to ``most`` seconds."""
    if not _is_number(value):
        raise InvalidInput(f"{what} is a number of seconds, not {_shown(value)}")
    if not 0 <= value <= most:
        raise InvalidInput(f"{what} is from 0 to {most:.0f} seconds, not {value!r}")
    return float(value)


def timeout(value: Any) -> float | None:
    """How long to wait: seconds, or ``None`` for ever. Less than none is none; for ages is for ever."""
    if value is None:
        return None
    if not _is_number(value):
        raise InvalidInput(f"a timeout is a number of seconds or None, not {_shown(value)}")
    if not (value >= 0 or value < 0):
        raise InvalidInput("a timeout is a number of seconds, not NaN")
    if value > _LONGEST_TIMEOUT_S:
        return None
    return max(0.0, float(value))


def start_timeout(value: Any) -> float | None:
    """The same for a start, which a socket waits for: not at all means something else to it than a moment,
    and it takes 24 days at most, but no start is so long.
    """
    found = timeout(value)
    return max(found, _SHORTEST_START_S) if found is not None and found < _LONGEST_START_S else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def payload(value: Any, what: str) -> bytes:
    """What a process is fed: bytes, or text as UTF-8, or with ``None`` nothing."""
    match value:
        case None:
            return b""
        case str():
            return unicode(value, what).encode()
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case _:
            raise InvalidInput(f"{what} is bytes or a string, not {_shown(value)}")


def account_number(digits: str, what: str) -> int | None:
    """The user or group that the digits say; ``None`` where they are none."""
    if not digits.isdecimal() or not digits.isascii():
        return None
    number = int(digits) if len(digits) < 20 else HIGHEST_ID + 1
    if number > HIGHEST_ID:
        raise InvalidInput(f"{what} {digits} is too high", hint=f"the highest is {HIGHEST_ID}")
    return number


def accounts(value: Any) -> tuple[int, int]:
    """User and group by number."""
    uid, gid = _pair(value, "user is a pair of numbers, user and group")
    return whole(uid, "a user's number", 0, HIGHEST_ID), whole(gid, "a group's number", 0, HIGHEST_ID)


def terminal_size(value: Any) -> tuple[int, int]:
    """Rows and columns, as the kernel keeps them (ioctl_tty(2))."""
    rows, columns = _pair(value, "size is a pair of numbers, rows and columns")
    return whole(rows, "the number of rows", 1, 65535), whole(columns, "the number of columns", 1, 65535)


def _pair(value: Any, what: str) -> tuple[Any, Any]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise InvalidInput(f"{what}, not {_shown(value)}")
    return value[0], value[1]


def host_name(value: Any) -> str:
    """A host name: labels of letters, digits and inner dashes, with dots between (RFC 1123, section 2.1).

    The kernel keeps 64 characters (uname(2)).
    """
    text(value, "a host name")
    if not 0 < len(value) <= _LONGEST_HOST_NAME:
        raise InvalidInput(f"a host name has 1 to {_LONGEST_HOST_NAME} characters: {value!r}")
    for label in value.split("."):
        if not 0 < len(label) < 64 or not _LABEL.issuperset(label) or "-" in (label[0], label[-1]):
            raise InvalidInput(
                f"{value!r} is no host name",
                hint="use letters, digits and inner -, at most 63 of them between two dots",
            )
    return str(value)


def _shown(value: object) -> str:
    shown = repr(value)
    if len(shown) > 40:
        shown = shown[:40] + "…"
    return f"{type(value).__name__} {shown}" if value is not None else "None"

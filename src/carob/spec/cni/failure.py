"""What a plugin says when it fails (SPEC.md, section 5, "Error"), and which of carob's errors that is."""

from __future__ import annotations

from carob.errors import (
    CommandFailed,
    InvalidInput,
    OutOfResources,
    PermissionDenied,
    Unavailable,
    Unsupported,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.errors import CarobError

INCOMPATIBLE_VERSION = 1
UNSUPPORTED_FIELD = 2
UNKNOWN_CONTAINER = 3
INVALID_CONFIGURATION = 7
TRY_AGAIN = 11
NOT_AVAILABLE = 50
LIMITED_CONNECTIVITY = 51

_LONGEST = 1000
_INVALID = (UNSUPPORTED_FIELD, INVALID_CONFIGURATION)
_UNAVAILABLE = (TRY_AGAIN, NOT_AVAILABLE, LIMITED_CONNECTIVITY)
_NO_ADDRESS_LEFT = ("no ip addresses available", "no IP addresses available")


class Failure:
    """A plugin's error: ``code``, ``message`` and ``details``; code 0 where it did not say any."""

    __slots__ = ("code", "details", "message")

    def __init__(self, code: int, message: str, details: str = "") -> None:
        self.code = code
        self.message = message
        self.details = details

    def __str__(self) -> str:
        text = "; ".join([part for part in (self.message, self.details) if part])
        return text if self.code in (0, 999) else f"{text} (code {self.code})"


def parse_failure(document: object) -> Failure | None:
    """Reads an error's document; ``None`` for what is none."""
    if not isinstance(document, dict):
        return None
    code, message, details = (document.get(key) for key in ("code", "msg", "details"))
    if not isinstance(message, str) or not message.strip():
        return None
    if not isinstance(code, int) or isinstance(code, bool):
        code = 0
    return Failure(code, one_line(message), one_line(details) if isinstance(details, str) else "")


def one_line(text: str) -> str:
    """The text on one line, without control characters, and cut where it is very long."""
    plain = "".join([letter if letter.isprintable() else " " for letter in text[: 4 * _LONGEST]])
    plain = " ".join(plain.split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 3] + "..."


def error_for(failure: Failure, what: str, *, argv: tuple[str, ...], status: int, stderr: str) -> CarobError:
    """The error to raise for a plugin's failure; ``what`` says which plugin failed at what."""
    message = f"{what}: {failure}"
    if failure.code == INCOMPATIBLE_VERSION:
        return Unsupported(
            message, hint="give the network's configuration a cniVersion that the plugin knows"
        )
    if failure.code in _INVALID:
        return InvalidInput(message, hint="mend the network's configuration")
    if failure.code in _UNAVAILABLE:
        return Unavailable(message, hint="try again later")
    if any(words in failure.message for words in _NO_ADDRESS_LEFT):
        return OutOfResources(message, hint="carob gc gives back what dead pods hold; or use a larger subnet")
    if "operation not permitted" in failure.message or "permission denied" in failure.message:
        return PermissionDenied(message, hint="plugins need root, or a network namespace of their own")
    return CommandFailed(message, argv=argv, status=status, stderr=stderr)

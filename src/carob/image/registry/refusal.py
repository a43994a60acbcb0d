"""What a registry's "no" means to the caller (distribution-spec, error codes)."""

from __future__ import annotations

from carob.errors import (
    CarobError,
    Conflict,
    CorruptData,
    NotFound,
    PermissionDenied,
    Rejected,
    Unavailable,
    Unsupported,
)
from carob.spec.oci.document import parse_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.image.registry.answer import Answer

_BODY_BYTES = 1 << 16
_BODY_S = 10.0
_CODE_LENGTH = 60
_MESSAGE_LENGTH = 200
_RATE_HINT = "{when}; log in, as many registries allow more then, or name a mirror in registries.toml"


def refusal(
    answer: Answer, what: str, *, mask: Callable[[str], str], wait_s: float | None = None, hint: str = ""
) -> CarobError:
    """The error for an answer that is no success, which is read and closed.

    ``what`` is what was asked for; ``mask`` takes secrets out of what the server says; ``wait_s`` is what its
    ``Retry-After`` asks for; ``hint`` goes with a refusal for want of rights.
    """
    host = answer.url.authority
    said = mask(_said(answer))
    detail = f": {said}" if said else ""
    match answer.status:
        case 401:
            return PermissionDenied(f"{what}: {host} asks who you are{detail}", hint=hint)
        case 403 | 407:
            return PermissionDenied(f"{what}: {host} does not allow it{detail}", hint=hint)
        case 404 | 410:
            return NotFound(f"{what} is not on {host}{detail}", hint="look at the name and the tag")
        case 405 | 406 | 415 | 501 | 505:
            return Unsupported(f"{what}: {host} does not offer this (status {answer.status}){detail}")
        case 409 | 412:
            return Conflict(f"{what}: {host} sees a conflict (status {answer.status}){detail}")
        case 429:
            when = f"try again in {wait_s:.0f} s" if wait_s else "try again later"
            return Unavailable(
                f"{what}: {host} limits the rate of requests{detail}", hint=_RATE_HINT.format(when=when)
            )
        case status if status < 400:
            return CorruptData(f"{what}: {host} answers with status {status}, which is none here")
        case status if status >= 500 or status == 408:
            return Unavailable(
                f"{what}: {host} is in trouble (status {status}){detail}", hint="try again later"
            )
        case status:
            hint = "it is larger than this registry takes" if status == 413 else ""
            return Rejected(f"{what}: {host} refuses it (status {status}){detail}", hint=hint)


def _said(answer: Answer) -> str:
    """The codes and messages of the answer's body on one line, fit for a terminal; ``""`` for none."""
    answer.hurry(_BODY_S)
    try:
        data = answer.document("an error message", limit=_BODY_BYTES)
        document = parse_document(data, "an error message", limit=_BODY_BYTES)
    except CarobError:
        return ""
    errors = document.get("errors")
    if not isinstance(errors, list):
        return _plain(document.get("details") or document.get("error_description"), _MESSAGE_LENGTH)
    words = []
    for error in errors[:3]:
        if isinstance(error, dict):
            code = _plain(error.get("code"), _CODE_LENGTH)
            message = _plain(error.get("message"), _MESSAGE_LENGTH)
            words.append(f"{message} ({code})" if code and message else code or message)
    return "; ".join(word for word in words if word)


def _plain(text: object, length: int) -> str:
    """Text of a stranger's on one line, without anything that acts on a terminal."""
    if not isinstance(text, str):
        return ""
    shown = "".join(character if character.isprintable() else " " for character in text[: 2 * length])
    return " ".join(shown.split())[:length]

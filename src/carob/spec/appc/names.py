"""Strings that the appc specification restricts: names, identifiers, kinds.

Each is a ``str`` that cannot hold anything else: ``ACName("web-1")`` compares, hashes and joins like
the string it is. Source: appc specification 0.8.11, "AC Name Type", "AC Identifier Type", "AC Kind
Type".
"""

from __future__ import annotations

from carob.spec.appc.fault import FieldError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Self = TypeVar("Self", bound="Text")

_ALNUM = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_IDENTIFIER_PUNCTUATION = "-._~/"


class Text(str):
    """A string checked, and where its type says so brought into canonical form, when it is made."""

    __slots__ = ()

    def __new__(cls: type[Self], text: str) -> Self:
        if type(text) is cls:
            return text
        if not isinstance(text, str):
            raise FieldError(f"must be a string, not a {type(text).__name__}")
        return str.__new__(cls, cls._canonical(str.__str__(text)))

    @staticmethod
    def _canonical(text: str) -> str:
        """``text`` in canonical form; raises `FieldError` when it is not of this type."""
        raise NotImplementedError

    @classmethod
    def unset(cls: type[Self]) -> Self:
        """The empty value of a field that a document left out; it cannot be written."""
        return str.__new__(cls, "")

    def __reduce__(self) -> tuple[object, ...]:
        return str.__new__, (type(self), str.__str__(self))


class ACName(Text):
    """The name of an app, volume, port or mount point: lower-case letters, digits, inner ``-``."""

    __slots__ = ()

    @staticmethod
    def _canonical(text: str) -> str:
        _require_name(text, "-", "ACName")
        return text


class ACIdentifier(Text):
    """The name of an image, label, annotation or isolator: an `ACName` with inner ``-._~/``."""

    __slots__ = ()

    @staticmethod
    def _canonical(text: str) -> str:
        _require_name(text, _IDENTIFIER_PUNCTUATION, "ACIdentifier")
        return text


def _require_name(text: str, punctuation: str, type_name: str) -> None:
    if not text:
        raise FieldError(f"an {type_name} must not be empty")
    for char in text:
        if char not in _ALNUM and char not in punctuation:
            raise FieldError(
                f"{text!r} is not an {type_name}: {char!r} is not allowed",
                hint=f"use lower-case letters, digits and {punctuation}",
            )
    if text[0] not in _ALNUM or text[-1] not in _ALNUM:
        raise FieldError(f"{text!r} is not an {type_name}: it must start and end with a letter or digit")


def sanitize_acname(text: str) -> ACName:
    """An `ACName` close to ``text``: lower case, ``-`` for what is not allowed, bare edges.

    Raises `FieldError` when nothing is left.
    """
    return ACName(_sanitize(text, "-", "-"))


def sanitize_acidentifier(text: str) -> ACIdentifier:
    """An `ACIdentifier` close to ``text``: lower case, ``_`` for what is not allowed, bare edges.

    Raises `FieldError` when nothing is left.
    """
    return ACIdentifier(_sanitize(text, _IDENTIFIER_PUNCTUATION, "_"))


def _sanitize(text: str, punctuation: str, substitute: str) -> str:
    allowed = "".join(
        char if char in _ALNUM or char in punctuation else substitute for char in map(_lower, text)
    )
    bare = allowed.strip(punctuation)
    if not bare:
        raise FieldError(f"{text!r} has no letter or digit to make a name of")
    return bare


def _lower(char: str) -> str:
    return char.lower()[:1]  # one for one: some capitals have two letters in lower case


class ACKind(Text):
    """What a document is: ``ImageManifest`` or ``PodManifest``."""

    __slots__ = ()

    @staticmethod
    def _canonical(text: str) -> str:
        if text not in ("ImageManifest", "PodManifest"):
            raise FieldError(f"bad acKind {text!r}" if text else "acKind must be set")
        return text


class Hash(Text):
    """An image ID, ``sha512-<value>``.

    Only the algorithm is checked and that there is a value: shortened values are in use as keys. A
    whole one has 128 hexadecimal digits, or the first 64 of them.
    """

    __slots__ = ()

    @staticmethod
    def _canonical(text: str) -> str:
        algorithm, dash, value = text.partition("-")
        if not dash or "-" in value:
            raise FieldError(f"{text!r} is not a hash: it must look like sha512-<value>")
        if algorithm != "sha512":
            raise FieldError(f"{text!r} is not a hash: the algorithm must be sha512")
        if not value:
            raise FieldError(f"{text!r} is not a hash: the value is empty")
        return text

    @property
    def algorithm(self) -> str:
        """The part before the dash, ``sha512``."""
        return self.partition("-")[0]

    @property
    def value(self) -> str:
        """The part behind the dash."""
        return self.partition("-")[2]

    @property
    def short(self) -> str:
        """The hash cut down to the 32 bytes of value that file names and lists show."""
        return self[: len("sha512-") + 32]

    @classmethod
    def of(cls, data: bytes) -> Hash:
        """The hash of ``data``, with its whole value."""
        from hashlib import sha512

        return cls("sha512-" + sha512(data).hexdigest())

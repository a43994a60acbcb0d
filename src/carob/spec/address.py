"""Where an image is, as people write it: a name, or a transport and what belongs to it.

=============================================  ==============================================================
``busybox``, ``example.org/app:1``, an id      a name or an image id (transport ``""``)
``docker://[host[:port]/]path[:tag][@digest]`` a registry; without a host only an alias leads anywhere
``oci:PATH[:REFERENCE]``                       an OCI image layout
``oci-archive:PATH[:REFERENCE]``               a tar of one
``docker-archive:PATH[:REFERENCE]``            what ``docker save`` writes
``dir:PATH``                                   a root file system, or what skopeo writes to a directory
``tar:PATH``                                   a tar of a root file system
``aci:PATH|URL``                               an appc image
``appc:NAME[:VERSION][,LABEL=VALUE...]``       an appc image, found by meta discovery
=============================================  ==============================================================

As with skopeo, a path ends at its first colon where a reference may follow, and a reference ``@N`` is the
N-th image, from 0. ``docker:27`` is the image ``docker`` with a tag: that transport has two slashes.
"""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.spec.reference import is_digest, is_hex, parse_reference, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    Transport: TypeAlias = Literal[
        "", "docker", "oci", "oci-archive", "docker-archive", "dir", "tar", "aci", "appc"
    ]

NAME: Transport = ""
DOCKER: Transport = "docker"
OCI: Transport = "oci"
OCI_ARCHIVE: Transport = "oci-archive"
DOCKER_ARCHIVE: Transport = "docker-archive"
DIRECTORY: Transport = "dir"
TAR: Transport = "tar"
ACI: Transport = "aci"
APPC: Transport = "appc"

TEXT_LENGTH = 8192

_WITH_REFERENCE: dict[str, Transport] = {text: text for text in (OCI, OCI_ARCHIVE, DOCKER_ARCHIVE)}
_WITHOUT_REFERENCE: dict[str, Transport] = {text: text for text in (DIRECTORY, TAR, ACI, APPC)}
_OTHERS = frozenset(("containers-storage", "docker-daemon"))
_URL_SCHEMES = frozenset(("http", "https"))
_DIGEST = "sha256:"
_HINT = (
    "a name, or docker://, oci:, oci-archive:, docker-archive:, dir:, tar:, aci: or appc: and what follows"
)


class ImageAddress:
    """One parsed address. Immutable, hashable, and ``str()`` gives a text that parses to the same.

    - ``transport``: one of this module's constants; ``NAME`` for a name or an image id.
    - ``location``: the path, the URL, the appc name with its labels, the name or id as it was written; for
      ``DOCKER`` the name in normal form (``str(parse_reference(...))``).
    - ``reference``: which image of several; ``""`` where none was given.
    """

    __slots__ = ("location", "reference", "transport")

    transport: Transport
    location: str
    reference: str

    def __init__(self, transport: Transport, location: str, reference: str = "") -> None:
        set_slot = object.__setattr__
        set_slot(self, "transport", transport)
        set_slot(self, "location", location)
        set_slot(self, "reference", reference)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an ImageAddress does not change: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return ImageAddress, (self.transport, self.location, self.reference)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ImageAddress):
            return NotImplemented
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        if self.transport == NAME:
            return self.location
        if self.transport == DOCKER:
            return f"docker://{self.location}"
        text = f"{self.transport}:{self.location}"
        return f"{text}:{self.reference}" if self.reference else text

    def __repr__(self) -> str:
        return f"ImageAddress({str(self)!r})"


def parse_address(text: str) -> ImageAddress:
    """Parses an address; ``InvalidInput`` says what is wrong with it. Nothing is looked up."""
    if "\0" in text or len(text) > TEXT_LENGTH:
        raise InvalidInput(f"image {quoted(text)[:100]}: a NUL in it, or too long", hint=_HINT)
    word, colon, rest = text.partition(":")
    if colon and word == DOCKER and rest.startswith("//"):
        return ImageAddress(DOCKER, str(parse_reference(rest[2:])))
    if colon and word in _WITH_REFERENCE:
        return _archive(_WITH_REFERENCE[word], rest, text)
    if colon and word in _WITHOUT_REFERENCE:
        return _whole(_WITHOUT_REFERENCE[word], rest, text)
    if "://" in text or (colon and word in _OTHERS):
        raise InvalidInput(f"image {quoted(text)}: carob has no transport {word!r}", hint=_HINT)
    if text.startswith(("/", "./", "../", "~")) or text in (".", ".."):
        raise InvalidInput(f"image {quoted(text)}: a path needs a transport before it", hint=_HINT)
    if not _is_id(text):
        parse_reference(text)
    return ImageAddress(NAME, text)


def shown(address: ImageAddress) -> str:
    """An address as text that any document can hold: the bytes of a path need not be UTF-8."""
    return str(address).encode("utf-8", "backslashreplace").decode()


def image_number(reference: str) -> int | None:
    """The number in a reference ``@N``; ``None`` for any other."""
    digits = reference.removeprefix("@")
    if digits == reference or not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        return None
    return int(digits)


def _archive(transport: Transport, rest: str, text: str) -> ImageAddress:
    path, colon, reference = rest.partition(":")
    if not path:
        raise InvalidInput(f"image {quoted(text)}: there is no path", hint=f"{transport}:PATH[:REFERENCE]")
    if colon and (not reference or not reference.isprintable()):
        raise InvalidInput(
            f"image {quoted(text)}: {reference!r} is no reference", hint="the path ends at its first colon"
        )
    if transport == DOCKER_ARCHIVE and reference and image_number(reference) is None:
        named = parse_reference(reference)
        if named.digest:
            raise InvalidInput(
                f"image {quoted(text)}: an archive of docker knows no digests", hint="use name:tag"
            )
        reference = str(named)
    return ImageAddress(transport, path, reference)


def _whole(transport: Transport, rest: str, text: str) -> ImageAddress:
    if not rest:
        raise InvalidInput(f"image {quoted(text)}: nothing follows the transport", hint=_HINT)
    scheme, mark, _ = rest.partition("://")
    if transport == ACI and mark and scheme not in _URL_SCHEMES:
        raise InvalidInput(
            f"image {quoted(text)}: an appc image is not fetched by {scheme!r}",
            hint="aci:PATH or aci:https://...",
        )
    return ImageAddress(transport, rest)


def _is_id(text: str) -> bool:
    if text.startswith(_DIGEST):
        return is_hex(text[len(_DIGEST) :]) and len(text) <= len(_DIGEST) + 64
    return is_digest(_DIGEST + text)

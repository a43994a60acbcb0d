"""Names of images: ``[domain[:port]/]path[:tag][@digest]``.

The grammar is that of the distribution project (github.com/distribution/reference): lower-case path
components of letters and digits joined by ``.``, ``_``, ``__`` or dashes; a tag of at most 128
characters; a digest ``sha256:<64 hex digits>``. A domain is a first component that holds a dot, a colon
or a capital, or is ``localhost``. No registry is ever guessed: ``busybox`` is ``busybox:latest``.

This module is on the path of every start, so it works without regular expressions.
"""

from __future__ import annotations

from carob.errors import InvalidInput

DEFAULT_TAG = "latest"
NAME_LENGTH = 255
TAG_LENGTH = 128
DIGEST_HEX_LENGTH = 64
DIGEST_ALGORITHM = "sha256"

_LOWER_ALPHANUMERIC = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_ALPHANUMERIC = _LOWER_ALPHANUMERIC | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TAG_START = _ALPHANUMERIC | {"_"}
_TAG_REST = _TAG_START | {".", "-"}
_HEX = "0123456789abcdef"

_HINT = "an image is named [domain/]path[:tag][@sha256:...] in lower case, such as example.org/app:1.2"


class Reference:
    """One parsed image name. Immutable, hashable, and ``str()`` gives the normal form back.

    ``repository`` is the name without tag and digest; ``tag`` is ``""`` only where there is a digest;
    ``digest`` is ``"sha256:<hex>"`` or ``""``.
    """

    __slots__ = ("digest", "repository", "tag")

    repository: str
    tag: str
    digest: str

    def __init__(self, repository: str, tag: str, digest: str) -> None:
        set_slot = object.__setattr__
        set_slot(self, "repository", repository)
        set_slot(self, "tag", tag)
        set_slot(self, "digest", digest)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Reference does not change: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return Reference, (self.repository, self.tag, self.digest)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reference):
            return NotImplemented
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        text = self.repository
        if self.tag:
            text += ":" + self.tag
        if self.digest:
            text += "@" + self.digest
        return text

    def __repr__(self) -> str:
        return f"Reference({str(self)!r})"

    @property
    def domain(self) -> str:
        """The registry's host, with its port if there is one; ``""`` for a name without."""
        first, slash, _ = self.repository.partition("/")
        return first if slash and _looks_like_domain(first) else ""


def parse_reference(text: str) -> Reference:
    """Parses an image name; ``InvalidInput`` says what is wrong with it.

    A name with neither tag nor digest gets the tag ``latest``.
    """
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise InvalidInput(f"image name {quoted(text)}: {quoted(digest)} is not a sha256 digest", hint=_HINT)
    repository, tag = _split_tag(rest)
    if tag is not None and not _is_tag(tag):
        raise InvalidInput(f"image name {quoted(text)}: {tag!r} is not a tag", hint=_HINT)
    problem = _repository_problem(repository)
    if problem:
        raise InvalidInput(f"image name {quoted(text)}: {problem}", hint=_HINT)
    if tag is None:
        tag = "" if digest else DEFAULT_TAG
    return Reference(repository, tag, digest)


def quoted(text: str) -> str:
    """What was to be a name or an address, for a message: without a user and password before a host."""
    user, at, host = text.rpartition("@")
    scheme, mark, rest = user.rpartition("://")
    if at and not host.startswith(f"{DIGEST_ALGORITHM}:") and (":" in rest or "/" in host):
        text = f"{scheme}{mark}***@{host}"
    return repr(text)


def is_digest(text: str) -> bool:
    """Whether ``text`` is ``sha256:`` and 64 lower-case hexadecimal digits."""
    algorithm, _, digits = text.partition(":")
    return algorithm == DIGEST_ALGORITHM and len(digits) == DIGEST_HEX_LENGTH and is_hex(digits)


def is_hex(text: str) -> bool:
    """Whether ``text`` is not empty and has lower-case hexadecimal digits only."""
    return bool(text) and not text.lstrip(_HEX)  # quicker than a set: of lists, most of the work


def _split_tag(text: str) -> tuple[str, str | None]:
    """Cuts the tag off: what follows the last colon, unless a slash follows it (then it is a port)."""
    repository, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, None
    return repository, tag


def _is_tag(tag: str) -> bool:
    return 0 < len(tag) <= TAG_LENGTH and tag[0] in _TAG_START and _TAG_REST.issuperset(tag)


def _repository_problem(repository: str) -> str:
    if not repository:
        return "the name is empty"
    if len(repository) > NAME_LENGTH:
        return f"the name is longer than {NAME_LENGTH} characters"
    if repository == DIGEST_ALGORITHM:
        return "sha256 begins an image id and cannot be a name"
    if len(repository) == DIGEST_HEX_LENGTH and is_hex(repository):
        return "a name of 64 hexadecimal digits would look like an image id"
    first, slash, path = repository.partition("/")
    if slash and _looks_like_domain(first):
        if not _is_domain(first):
            return f"{first!r} is not a host name with an optional port"
    else:
        path = repository
    for component in path.split("/"):
        if not _is_path_component(component):
            return f"{component!r} is not a name component"
    return ""


def _looks_like_domain(component: str) -> bool:
    return (
        component == "localhost" or any(mark in component for mark in ".:[") or component != component.lower()
    )


def _is_domain(text: str) -> bool:
    if text.startswith("["):
        address, bracket, port = text[1:].partition("]")
        if not bracket or not address or not _ALPHANUMERIC.issuperset(address.replace(":", "")):
            return False
        return port == "" or (port.startswith(":") and _is_port(port[1:]))
    host, colon, port = text.partition(":")
    if colon and not _is_port(port):
        return False
    return all(_is_host_label(label) for label in host.split("."))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65535


def _is_host_label(label: str) -> bool:
    return (
        bool(label)
        and _ALPHANUMERIC.issuperset(label.replace("-", ""))
        and not label.startswith("-")
        and not label.endswith("-")
    )


def _is_path_component(component: str) -> bool:
    """Letters and digits, joined by one dot, one or two underscores, or any number of dashes."""
    separator = ""
    for character in component:
        if character in _LOWER_ALPHANUMERIC:
            if separator not in ("", ".", "_", "__") and separator.strip("-"):
                return False
            separator = ""
        elif character in "._-":
            separator += character
        else:
            return False
    return bool(component) and component[0] in _LOWER_ALPHANUMERIC and separator == ""

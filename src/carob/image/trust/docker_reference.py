"""Image names as containers tools write them into policies and signatures.

The grammar is carob's own (``carob.spec.reference``), but a name without a domain is one of ``docker.io``,
and one without a slash there is ``library/...``: in these documents ``busybox:1`` always meant
``docker.io/library/busybox:1``. Source: containers-signature(5), ``docker-reference``.
"""

from __future__ import annotations

from carob.errors import InvalidInput
from carob.spec.reference import parse_reference

_DEFAULT_DOMAIN = "docker.io"
_OLD_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"


class DockerReference:
    """``name`` (domain and path), ``tag`` and ``digest``, each ``""`` where it is not said. Immutable."""

    __slots__ = ("digest", "name", "tag")

    name: str
    tag: str
    digest: str

    def __init__(self, name: str, tag: str, digest: str) -> None:
        set_slot = object.__setattr__
        set_slot(self, "name", name)
        set_slot(self, "tag", tag)
        set_slot(self, "digest", digest)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a DockerReference does not change: {name}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DockerReference):
            return NotImplemented
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        text = f"{self.name}:{self.tag}" if self.tag else self.name
        return f"{text}@{self.digest}" if self.digest else text

    def __repr__(self) -> str:
        return f"DockerReference({str(self)!r})"

    @property
    def path(self) -> str:
        """The name without its domain."""
        return self.name.partition("/")[2]

    @property
    def is_name_only(self) -> bool:
        """Whether it says neither tag nor digest."""
        return not self.tag and not self.digest


def parse_docker_reference(text: str) -> DockerReference:
    """Parses a name; ``InvalidInput`` says what is wrong with it. No tag is added."""
    rest, at, digest = text.partition("@")
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        head, colon, tag = rest, "", ""
    name = _expanded(head)
    parse_reference(f"{name}{colon}{tag}{at}{digest}")
    return DockerReference(name, tag, digest)


def _expanded(name: str) -> str:
    domain, slash, path = name.partition("/")
    if not slash or (
        not any(mark in domain for mark in ".:[") and domain != "localhost" and _is_lower(domain)
    ):
        domain, path = _DEFAULT_DOMAIN, name
    if domain == _OLD_DOMAIN:
        domain = _DEFAULT_DOMAIN
    if domain == _DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return f"{domain}/{path}"


def _is_lower(text: str) -> bool:
    return text == text.lower()


def parse_prefix(text: str) -> str:
    """A domain, or a name with a domain and without tag or digest; ``InvalidInput`` for anything else."""
    expected = f"{text}/x/x"
    if str(parse_docker_reference(expected)) != expected:
        raise InvalidInput(f"{text!r} is neither a domain nor a name with one")
    return text

"""Where one repository is served: a host as it was written, a path on it, and how far it is trusted."""

from __future__ import annotations

from dataclasses import dataclass

from carob.errors import InvalidInput
from carob.image.registry.urls import is_loopback, mask_user, split_port
from carob.spec.reference import parse_reference

DOCKER_HUB = "docker.io"
_DOCKER_HUB_API = "registry-1.docker.io"
_DOCKER_HUB_HOSTS = frozenset((DOCKER_HUB, "index.docker.io", _DOCKER_HUB_API))
_NO_NAME_HINT = "a repository is named domain/path, such as example.org/team/app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A repository on a host.

    - ``host``: ``name[:port]`` as in references; ``repository``: the path, ``""`` for the registry itself.
    - ``insecure``: plain HTTP and TLS without verification will do. ``ca``: a file of certificates of
      authorities that are trusted beside the system's, or ``""``.
    - ``namespace``: for a mirror of several registries, which one is meant; ``""`` for all others.
    - ``is_mirror``: whether it stands in for another.
    """

    host: str
    repository: str = ""
    insecure: bool = False
    ca: str = ""
    namespace: str = ""
    is_mirror: bool = False

    @property
    def api_host(self) -> str:
        """The host to talk to."""
        return _DOCKER_HUB_API if self.host == DOCKER_HUB else self.host

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine, where plain HTTP will do."""
        return is_loopback(split_port(self.host)[0])

    @property
    def path(self) -> str:
        """``host/repository``: what credentials are looked up by, and what messages say."""
        return f"{self.host}/{self.repository}" if self.repository else self.host


def split_repository(name: str) -> tuple[str, str]:
    """The host and the path of a repository's full name, in the one form that rules are compared in.

    ``InvalidInput`` where it begins with no domain: no registry is ever guessed.
    """
    host, slash, path = name.partition("/")
    if not slash or not (host == "localhost" or any(mark in host for mark in ".:") or host != host.lower()):
        raise InvalidInput(f"{name!r} does not say which registry", hint=_NO_NAME_HINT)
    try:
        return canonical(host, path)
    except ValueError as error:
        raise InvalidInput(f"{name!r}: {error}", hint=_NO_NAME_HINT) from None


def canonical(host: str, path: str) -> tuple[str, str]:
    """The host in lower case, without port 443, and Docker's hub by its one name, with ``library/`` before a
    lone name. ``ValueError`` where it is no host. Else a blocked registry would have many other names.
    """
    name, port = split_port(host)
    if name in _DOCKER_HUB_HOSTS and not port % 443:
        return DOCKER_HUB, path if not path or "/" in path else f"library/{path}"
    if ":" in name:
        name = f"[{name}]"
    return (name if port in (0, 443) else f"{name}:{port}"), path


def parse_location(text: str, what: str) -> tuple[str, str]:
    """``host[:port][/path]`` of a configuration, taken apart; ``InvalidInput`` begins with ``what``."""
    if "://" in text or "@" in text:
        raise InvalidInput(
            f"{what}: {mask_user(text)!r} is no location",
            hint="write host[:port][/path], without http://, a user name or a digest; credentials belong into"
            " auth.json, and insecure = true allows plain HTTP",
        )
    host, slash, path = text.partition("/")
    try:
        if slash:
            check_repository(path)
        name, port = split_port(host)
        in_brackets = f"[{name}]" if ":" in name else name
        return (f"{in_brackets}:{port}" if port else in_brackets), path
    except ValueError as error:
        raise InvalidInput(f"{what}: {text!r}: {error}", hint="write host[:port][/path]") from None


def check_repository(path: str) -> None:
    """``ValueError`` unless ``path`` is a repository's name without a host, fit to stand in a request."""
    try:
        reference = parse_reference(f"registry.invalid/{path}")
    except InvalidInput:
        reference = None
    if reference is None or reference.repository != f"registry.invalid/{path}" or reference.digest:
        raise ValueError(f"{path[:100]!r} is no repository name") from None


def check_tag(tag: str) -> None:
    """``ValueError`` unless ``tag`` is a tag, fit to stand in a request."""
    try:
        reference = parse_reference(f"registry.invalid/path:{tag}")
    except InvalidInput:
        reference = None
    if reference is None or reference.tag != tag or reference.digest:
        raise ValueError(f"{tag[:130]!r} is no tag") from None

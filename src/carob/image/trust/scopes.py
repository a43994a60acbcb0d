"""Which part of a policy is about an image: its scope, from the most precise to the widest. Pure.

Source: containers-policy.json(5), "Supported transports and their scopes".
"""

from __future__ import annotations

import posixpath

from carob.errors import InvalidInput
from carob.image.trust.docker_reference import parse_docker_reference

_PATHS = frozenset(("dir", "oci", "oci-archive", "sif", "tar"))
_NAMES = frozenset(("docker", "atomic", "docker-daemon"))
_NOTHING = frozenset(("docker-archive", "tarball"))


def scopes_of(transport: str, scope: str) -> list[str]:
    """The scopes to look for, the most precise first, without the transport's default ``""``.

    ``scope`` is an image name for ``docker``, an absolute path without links for ``oci`` and its like.
    """
    if not scope or transport in _NOTHING:
        return []
    if transport in _NAMES:
        return _of_name(scope)
    if transport in _PATHS:
        return _of_path(scope)
    return [scope]


def check_scope(transport: str, scope: str) -> None:
    """``InvalidInput`` for a scope in a policy that no image of the transport could have."""
    if not scope:
        return
    if transport in _NOTHING:
        raise InvalidInput(f"{transport} has no scope but ''")
    if transport in _PATHS and (
        not scope.startswith("/") or scope == "/" or posixpath.normpath(scope) != scope
    ):
        raise InvalidInput(f"{scope!r} is not an absolute path in its shortest form", hint="'' is for all")
    if "\0" in scope:
        raise InvalidInput(f"{scope!r} holds a NUL")


def _of_name(scope: str) -> list[str]:
    reference = parse_docker_reference(scope)
    found = []
    if reference.tag:
        found.append(f"{reference.name}:{reference.tag}")
    if reference.digest:
        found.append(f"{reference.name}@{reference.digest}")
    name = reference.name
    while name:
        found.append(name)
        name = name.rpartition("/")[0]
    host = reference.name.partition("/")[0].partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        found.append(f"*.{host}")
    return found


def _of_path(scope: str) -> list[str]:
    if not scope.startswith("/"):
        raise InvalidInput(f"{scope!r} is not an absolute path")
    found = []
    path = posixpath.normpath(scope)
    while path not in ("/", "//"):
        found.append(path)
        path = posixpath.dirname(path)
    return found

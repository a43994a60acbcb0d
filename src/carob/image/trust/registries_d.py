"""Which places have the simple signatures of which images: registries.d, as podman and skopeo have it.

The user's ``~/.config/containers/registries.d`` where it is there, else ``/etc/containers/registries.d``; all
``*.yaml`` files in it count together (containers-registries.d(5)).
"""

from __future__ import annotations

import os

from carob.errors import InvalidInput
from carob.image.trust.block_yaml import parse_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.trust.block_yaml import Block

_FILE_BYTES = 1 << 20
_READING = ("lookaside", "sigstore")
"""The keys of a place to read from, the one that counts first; those with ``-staging`` are for writing."""


def lookaside_places(directory: str = "") -> dict[str, str]:
    """URLs by scopes, as in a policy (``example.org/team``); ``""`` is for all others. None without files.

    ``InvalidInput`` names a file that cannot be read or is not understood, and a scope that is in two.
    """
    directory = directory or _directory()
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".yaml"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidInput(f"{directory} cannot be read: {error.strerror}") from error
    places: dict[str, str] = {}
    found_in: dict[str, str] = {}
    for name in names:
        path = f"{directory}/{name}"
        for scope, settings in _scopes(_read(path), path).items():
            if scope in found_in:
                said = f"the scope {scope!r}" if scope else "default-docker"
                raise InvalidInput(f"{path}: {said} is in {found_in[scope]} as well")
            found_in[scope] = path
            url = next((url for key in _READING if (url := settings.get(key))), None)
            if url is not None:
                places[scope] = _checked(url, f"{path}: {scope or 'default-docker'}")
    return places


def _directory() -> str:
    own = os.path.join(os.path.expanduser("~"), ".config/containers/registries.d")
    return own if os.path.exists(own) else "/etc/containers/registries.d"


def _read(path: str) -> Block:
    try:
        with open(path, "rb") as file:
            data = file.read(_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _FILE_BYTES:
        raise InvalidInput(f"{path} is larger than {_FILE_BYTES} bytes")
    try:
        return parse_block(data.decode(), path)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8") from error


def _scopes(document: Block, path: str) -> dict[str, Block]:
    """The settings of each scope in one file."""
    found = {
        scope: _mapping(settings, f"{path}: {scope}")
        for scope, settings in _mapping(document.get("docker"), f"{path}: docker").items()
    }
    if document.get("default-docker") is not None:
        found[""] = _mapping(document["default-docker"], f"{path}: default-docker")
    return found


def _mapping(value: str | Block | None, what: str) -> Block:
    if value is None:
        return {}
    if isinstance(value, str):
        raise InvalidInput(f"{what}: not a mapping")
    return value


def _checked(url: object, what: str) -> str:
    if not isinstance(url, str) or not url.startswith(("file:///", "https://", "http://")):
        raise InvalidInput(
            f"{what}: {url!r} is no address of signatures", hint="file:///…, https://… or http://…"
        )
    return url

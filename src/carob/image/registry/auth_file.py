"""One file of credentials: auth.json of the containers tools, config.json of Docker. They have one format."""

from __future__ import annotations

import os

from carob.errors import CorruptData, NotFound, PermissionDenied
from carob.image.registry.credentials import Credentials
from carob.image.registry.endpoint import DOCKER_HUB, canonical
from carob.spec.oci.document import map_field, parse_document, text_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DOCKER_HUB_KEY = "https://index.docker.io/v1/"
"""What Docker's hub is called in Docker's files and by its helpers."""

IDENTITY_USER = "<token>"
"""The user name that says that the secret is an identity token."""

_FILE_BYTES = 4 << 20


class AuthFile:
    """What one file says: ``_auths`` by host and path, ``_helpers`` by host, ``_store`` for all others."""

    __slots__ = ("_auths", "_helpers", "_path", "_store")

    def __init__(
        self, path: str, auths: dict[str, dict[str, Any]], helpers: dict[str, str], store: str
    ) -> None:
        self._path = path
        self._auths = auths
        self._helpers = helpers
        self._store = store

    def __repr__(self) -> str:
        return f"AuthFile({self._path!r})"

    def find(self, path: str, *, patience_s: float) -> Credentials | None:
        """The credentials for ``host[:port][/repository]``, as `Keyring.find`."""
        from carob.image.registry.credential_helper import ask_helper

        host = path.partition("/")[0]
        server = DOCKER_HUB_KEY if host == DOCKER_HUB else host
        if host in self._helpers:
            found = ask_helper(self._helpers[host], server, named_in=self._path, patience_s=patience_s)
            if found is not None:
                return found
        key = path
        while key:
            entry = self._auths.get(key)
            found = _credentials(entry, self._path) if entry else None
            if found is not None:
                return found
            key = key.rpartition("/")[0]
        if self._store:
            return ask_helper(self._store, server, named_in=self._path, patience_s=patience_s)
        return None


def read_auth_file(path: str, *, needed: bool) -> AuthFile | None:
    """Reads a file; ``None`` where there is none, which is an error if it is ``needed``."""
    try:
        with open(path, "rb", opener=_opened) as file:
            data = file.read(_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if needed:
            raise NotFound(f"REGISTRY_AUTH_FILE: there is no {path}") from error
        return None
    except PermissionError as error:
        raise PermissionDenied(
            f"{path} cannot be read", hint="it holds the credentials for registries"
        ) from error
    except OSError as error:
        raise CorruptData(f"{path} cannot be read: {error.strerror}") from error
    if not data.strip():
        return None
    document = parse_document(data, path, limit=_FILE_BYTES)
    auths = {}
    for key, entry in map_field(document, "auths", path).items():
        if not isinstance(entry, dict):
            raise CorruptData(f"{path}: an entry of 'auths' is not an object")
        if entry and (key == _normal(key) or _normal(key) not in auths):
            auths[_normal(key)] = entry
    helpers = map_field(document, "credHelpers", path)
    return AuthFile(
        path,
        auths,
        {_normal(key): text_field(helpers, key, f"{path}, credHelpers") for key in helpers},
        text_field(document, "credsStore", path, default=""),
    )


def _opened(path: str, flags: int) -> int:
    """Opens a file, or a pipe that is written to or was; one that nobody writes to is not waited for."""
    fd = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(fd, True)
    return fd


def _normal(key: str) -> str:
    """``host[:port][/path]`` from any form that tools write: ``https://host/v1/``, ``host/``."""
    _, mark, rest = key.partition("://")
    name = (rest if mark else key).rstrip("/")
    host, _, path = name.partition("/")
    if mark and path in ("v1", "v2"):
        path = ""
    try:
        host, path = canonical(host, path)
    except ValueError:
        return name  # never asked for
    return f"{host}/{path}" if path else host


def _credentials(entry: dict[str, Any], path: str) -> Credentials | None:
    """What an entry holds; ``None`` for one that only says that a helper knows."""
    what = f"{path}, an entry of 'auths'"
    identity = text_field(entry, "identitytoken", what, default="")
    registry = text_field(entry, "registrytoken", what, default="")
    username = text_field(entry, "username", what, default="")
    password = text_field(entry, "password", what, default="")
    encoded = text_field(entry, "auth", what, default="")
    if encoded:
        username, password = _decode(encoded, what)
    if username == IDENTITY_USER:
        username, password, identity = "", "", identity or password
    if not (username or identity or registry):
        return None
    return Credentials(username, password, identity_token=identity, registry_token=registry, origin=path)


def _decode(encoded: str, what: str) -> tuple[str, str]:
    """The user name and password in an ``auth``. Docker pads the password with NUL characters."""
    from base64 import b64decode

    try:
        text = b64decode(encoded, validate=True).decode()
    except ValueError:
        raise CorruptData(f"{what}: 'auth' is not base64", hint="log in again") from None
    username, colon, password = text.partition(":")
    if not colon:
        raise CorruptData(f"{what}: 'auth' is not user:password", hint="log in again")
    return username, password.strip("\0")

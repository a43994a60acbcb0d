"""Who the user is to a registry: the files of Docker, podman and skopeo, and credential helpers.

Looked at in this order, until one knows the registry:

1. what the caller gives;
2. the file ``$REGISTRY_AUTH_FILE``, and then no other;
3. ``$XDG_RUNTIME_DIR/containers/auth.json`` (``/run/containers/<uid>/auth.json`` without that variable);
4. ``$XDG_CONFIG_HOME/containers/auth.json`` (``~/.config/containers/auth.json``);
5. ``$DOCKER_CONFIG/config.json`` (``~/.docker/config.json``).

Within a file: the helper that ``credHelpers`` names for the host; ``auths``, the longest matching path first;
the helper ``credsStore``. Sources: containers-auth.json(5), docker-login(1).
"""

from __future__ import annotations

import os
import threading

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from carob.image.registry.auth_file import AuthFile
    from carob.image.registry.limits import Limits


class Credentials:
    """Either ``username`` and ``password``, or an ``identity_token`` to get bearer tokens with (a refresh
    token of OAuth 2), or a ``registry_token``, which is a bearer token. ``origin`` says where they are from.

    Nothing of them is in ``repr()`` or ``str()``, and they do not pickle.
    """

    __slots__ = ("identity_token", "origin", "password", "registry_token", "username")

    def __init__(
        self,
        username: str = "",
        password: str = "",
        *,
        identity_token: str = "",
        registry_token: str = "",
        origin: str = "the caller",
    ) -> None:
        for text in (username, password, identity_token, registry_token):
            if any(character < " " or character == "\x7f" for character in text):
                raise InvalidInput(f"credentials from {origin} hold a control character")
        if ":" in username:
            raise InvalidInput(f"the user name from {origin} holds a colon", hint="HTTP allows none")
        self.username = username
        self.password = password
        self.identity_token = identity_token
        self.registry_token = registry_token
        self.origin = origin

    def __repr__(self) -> str:
        return f"Credentials(from {self.origin})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("credentials do not pickle")

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header."""
        return basic_header(f"{self.username}:{self.password}")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        found = (self.password, self.identity_token, self.registry_token, self.basic.removeprefix("Basic "))
        return tuple(text for text in found if text)


def basic_header(credentials: str) -> str:
    """``user:password`` as the value of a header (RFC 7617), in UTF-8."""
    from base64 import b64encode

    return "Basic " + b64encode(credentials.encode()).decode()


class Keyring:
    """Looks credentials up, each file once. For any number of threads."""

    __slots__ = ("_environment", "_files", "_found", "_limits", "_lock")

    def __init__(self, environment: Mapping[str, str] | None = None, *, limits: Limits | None = None) -> None:
        from carob.image.registry.limits import DEFAULT_LIMITS

        self._environment = os.environ if environment is None else environment
        self._limits = limits or DEFAULT_LIMITS
        self._files: list[AuthFile] | None = None
        self._found: dict[str, Credentials | None] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "Keyring()"

    def find(self, path: str) -> Credentials | None:
        """The credentials for ``host[:port][/repository]``; ``None`` where no file has any.

        ``CorruptData``, ``PermissionDenied`` and ``NotFound`` name a file or a helper that fails.
        """
        with self._lock:
            if path not in self._found:
                self._found[path] = self._look_up(path)
            return self._found[path]

    def _look_up(self, path: str) -> Credentials | None:
        from carob.image.registry.auth_file import read_auth_file

        if self._files is None:
            explicit = bool(self._environment.get("REGISTRY_AUTH_FILE"))
            read = [read_auth_file(file, needed=explicit) for file in auth_files(self._environment)]
            self._files = [file for file in read if file is not None]
        for file in self._files:
            found = file.find(path, patience_s=self._limits.helper_s)
            if found is not None:
                return found
        return None


def auth_files(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The files that may hold credentials, in the order in which they count."""
    explicit = environment.get("REGISTRY_AUTH_FILE")
    if explicit:
        return (explicit,)
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.geteuid()}"
    home = environment.get("HOME") or os.path.expanduser("~")
    config = environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    docker = environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker")
    primary = os.path.join(runtime, "containers/auth.json")
    if not environment.get("XDG_RUNTIME_DIR"):
        primary = os.path.join(runtime, "auth.json")
    return (
        primary,
        os.path.join(config, "containers/auth.json"),
        os.path.join(docker, "config.json"),
    )

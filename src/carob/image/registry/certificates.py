"""TLS settings for a host: the system's authorities, those of registries.toml, and the certs.d directories.

``certs.d/<host[:port]>/`` below ``/etc/docker``, ``/etc/containers`` and ``~/.config/containers`` holds
authorities in ``*.crt``, and pairs ``NAME.cert`` and ``NAME.key`` to show to the server
(containers-certs.d(5)).
"""

from __future__ import annotations

import os

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

SYSTEM_DIRECTORIES = ("/etc/docker/certs.d", "/etc/containers/certs.d")


class HostFiles:
    """The files that count for one host: ``authorities``, and ``pairs`` of certificate and key."""

    __slots__ = ("authorities", "pairs")

    authorities: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    def __init__(self, authorities: tuple[str, ...], pairs: tuple[tuple[str, str], ...]) -> None:
        self.authorities = authorities
        self.pairs = pairs


def directories() -> tuple[str, ...]:
    """The certs.d directories."""
    return *SYSTEM_DIRECTORIES, os.path.join(os.path.expanduser("~"), ".config/containers/certs.d")


def host_files(host: str, paths: tuple[str, ...]) -> HostFiles:
    """What the directories hold for ``host[:port]``. ``InvalidInput`` for a certificate without its key."""
    authorities: list[str] = []
    pairs: list[tuple[str, str]] = []
    for path in paths:
        directory = os.path.join(path, host)
        try:
            names = sorted(os.listdir(directory))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # /etc/docker may be root's alone: then it is not meant for this user
        except OSError as error:
            raise InvalidInput(f"{directory} cannot be read: {error.strerror}") from error
        for name in names:
            file = os.path.join(directory, name)
            if name.endswith(".crt"):
                authorities.append(file)
            elif name.endswith(".cert"):
                key = file.removesuffix(".cert") + ".key"
                if not os.path.exists(key):
                    raise InvalidInput(f"{file} has no key", hint=f"put it into {key}")
                pairs.append((file, key))
    return HostFiles(tuple(authorities), tuple(pairs))


def tls_context(files: HostFiles, *, insecure: bool) -> ssl.SSLContext:
    """Settings that verify by the system's store and ``files``, or, where ``insecure``, not at all.

    ``InvalidInput`` names a file that holds no certificate or key.
    """
    import ssl

    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for file in files.authorities:
        try:
            context.load_verify_locations(file)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{file}: no certificates of an authority: {_words(error)}") from error
    for certificate, key in files.pairs:
        try:
            # A key under a pass phrase would be asked for on the terminal.
            context.load_cert_chain(certificate, key, password=_refuse)
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f"{certificate}: no certificate with its key: {_words(error)}",
                hint=f"look at {certificate} and {key}; a key under a pass phrase cannot be used",
            ) from error
    return context


def _refuse() -> str:
    raise ValueError("the key is under a pass phrase")


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)

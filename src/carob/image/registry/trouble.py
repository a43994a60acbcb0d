"""What goes wrong on the way to a host, in carob's words.

The exceptions of urllib3 are not kept as causes: they repeat addresses, whose queries may be signatures.
The system's error that is behind one is kept.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
from http.client import HTTPException
from typing import TYPE_CHECKING

import urllib3.exceptions

from carob.errors import CarobError, Rejected, TimedOut, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carob.image.registry.urls import Url

_NETWORK_HINT = "look at the name, the network, and the variables HTTPS_PROXY and NO_PROXY"
_TRUST_HINT = (
    "put its authority's certificate into /etc/containers/certs.d/{host}/ca.crt, or name it as ca in"
    " registries.toml; insecure = true there does without verification"
)
_DEPTH = 10


@contextlib.contextmanager
def troubles(url: Url) -> Iterator[None]:
    """Within it, whatever fails on the way to ``url`` is raised as ``Unavailable``, ``TimedOut``, or, where
    its certificate is not trusted, ``Rejected``.
    """
    before = sys.exc_info()[1]  # what the caller is dealing with: it is behind everything, and means nothing
    try:
        yield
    except CarobError:
        raise
    except (urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError) as error:
        behind = _chain(error, before)
        raise _translate(behind, url) from _system_error(behind)


def _chain(error: BaseException, before: BaseException | None = None) -> list[BaseException]:
    """The exception and what it is from, the outermost first, up to what there was ``before``."""
    found: list[BaseException] = []
    waiting: list[BaseException] = [error]
    while waiting and len(found) < _DEPTH:
        current = waiting.pop(0)
        if current is before or any(current is known for known in found):
            continue
        found.append(current)
        nested = [argument for argument in current.args if isinstance(argument, BaseException)]
        waiting += [*nested, *(one for one in (current.__cause__, current.__context__) if one is not None)]
    return found


def _system_error(chain: list[BaseException]) -> OSError | None:
    for error in chain:
        if isinstance(error, OSError) and not isinstance(error, urllib3.exceptions.HTTPError):
            return error
    return None


def _translate(chain: list[BaseException], url: Url) -> CarobError:
    host = url.authority
    system = _system_error(chain)
    where = host
    if any(isinstance(error, urllib3.exceptions.ProxyError) for error in chain):
        where = f"the proxy on the way to {host}"
    if isinstance(system, ssl.SSLCertVerificationError):
        reason = system.verify_message or "it is not verified"
        return Rejected(
            f"{where}: its certificate is not trusted: {reason}", hint=_TRUST_HINT.format(host=host)
        )
    if isinstance(system, ssl.SSLError):
        reason = (system.reason or "broken").replace("_", " ").lower()
        return Unavailable(
            f"{where}: no TLS connection: {reason}",
            hint="a registry that speaks plain HTTP needs insecure = true in registries.toml",
        )
    if any(isinstance(error, urllib3.exceptions.NameResolutionError) for error in chain):
        return Unavailable(f"{where}: its address is not known", hint=_NETWORK_HINT)
    if isinstance(system, TimeoutError) or (
        system is None and any(isinstance(error, urllib3.exceptions.TimeoutError) for error in chain)
    ):
        return TimedOut(f"{where} does not answer, or too slowly", hint=_NETWORK_HINT)
    if system is not None:
        words = system.strerror or str(system)
        return Unavailable(f"{where}: {_plain(words)}", hint=_NETWORK_HINT)
    return Unavailable(
        f"{where}: the answer is not HTTP, or breaks off ({type(chain[-1]).__name__})", hint=_NETWORK_HINT
    )


def _plain(words: str) -> str:
    """Words from elsewhere, fit for a terminal."""
    return "".join(character if character.isprintable() else "?" for character in words[:200])

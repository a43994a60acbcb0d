"""Which proxy leads to a host: ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``, read as Go's programs do.

The names in lower case count as well. ``NO_PROXY`` holds, between commas: ``*`` for everything, domains
(``example.org`` with all below it, ``.example.org`` only those below), addresses and networks
(``10.0.0.0/8``), each of them but networks with an optional port. This machine is never asked for by way of a
proxy.
"""

from __future__ import annotations

import os

from carob.errors import InvalidInput, Unsupported
from carob.image.registry.urls import Url, is_loopback, mask_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Proxy:
    """A proxy: ``url`` without its user, and ``credentials``, ``user:password`` or ``""``, never shown."""

    __slots__ = ("credentials", "url")

    def __init__(self, url: str, credentials: str = "") -> None:
        self.url = url
        self.credentials = credentials

    def __repr__(self) -> str:
        return f"Proxy({self.url!r})"


class Proxies:
    """What the environment says of proxies."""

    __slots__ = ("_chosen", "_exceptions")

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._chosen = {
            "https": _first(environment, "HTTPS_PROXY", "https_proxy"),
            "http": _first(environment, "HTTP_PROXY", "http_proxy"),
        }
        if environment.get("REQUEST_METHOD"):  # CGI: there HTTP_PROXY is a header of the request
            self._chosen["http"] = environment.get("http_proxy", "")
        entries = _first(environment, "NO_PROXY", "no_proxy").split(",")
        self._exceptions = [entry.strip().lower() for entry in entries if entry.strip()]

    def find(self, url: Url) -> Proxy | None:
        """The proxy that leads to a URL; ``None`` for a direct way. ``InvalidInput`` for a bad setting."""
        chosen = self._chosen[url.scheme]
        if not chosen or is_loopback(url.host) or self._is_excepted(url):
            return None
        return _parse(chosen, url.scheme)

    def _is_excepted(self, url: Url) -> bool:
        return any(_excepts(entry, url.host, url.port) for entry in self._exceptions)


def _first(environment: Mapping[str, str], *names: str) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")


def _parse(text: str, scheme: str) -> Proxy:
    from urllib.parse import unquote, urlsplit

    variable = f"{scheme.upper()}_PROXY"
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
        is_plain = all("!" <= character <= "~" for character in text)
    except ValueError:
        host, is_plain = None, False
    if not host or not is_plain:
        raise InvalidInput(
            f"{variable}: {mask_user(text)!r} is no proxy",
            hint="write http://host:port, or https://host:port",
        )
    if parts.scheme not in ("http", "https"):
        raise Unsupported(
            f"{variable}: a proxy of the kind {parts.scheme!r} cannot be used",
            hint="a proxy is http://host:port or https://host:port",
        )
    where = f"[{host}]" if ":" in host else host
    credentials = ""
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(f"{parts.scheme}://{where}" + (f":{port}" if port else ""), credentials)


def _excepts(entry: str, host: str, port: int) -> bool:
    """Whether one entry of ``NO_PROXY`` means this host and port."""
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(entry, host)
    name, its_port = _split(entry)
    if its_port and its_port != str(port):
        return False
    if name.startswith(("*.", ".")):
        return host.endswith("." + name.lstrip("*."))
    return host == name or host.endswith("." + name)


def _split(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        address, _, port = entry[1:].partition("]")
        return address, port.removeprefix(":")
    if entry.count(":") > 1:
        return entry, ""
    name, _, port = entry.partition(":")
    return name, port


def _in_network(entry: str, host: str) -> bool:
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return False

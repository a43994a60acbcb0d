"""URLs as carob takes them: http and https, without credentials, and shown without their query."""

from __future__ import annotations

from carob.errors import InvalidInput, Unavailable

_PORTS = {"http": 80, "https": 443}


class WebAddress:
    """One checked URL. ``str()`` shows it without its query, in which secrets are often passed.

    ``target`` is what a request asks for, ``url`` the whole without a fragment.
    """

    __slots__ = ("host", "port", "scheme", "target")

    def __init__(self, scheme: str, host: str, port: int, target: str) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.target = target

    @property
    def _origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def url(self) -> str:
        """The whole URL."""
        return self._origin + self.target

    def __str__(self) -> str:
        return self._origin + self.target.partition("?")[0]

    def __repr__(self) -> str:
        return f"WebAddress({str(self)!r})"

    def changed(self, *, scheme: str = "", port: int = 0, target: str = "") -> WebAddress:
        """The same with another part; a port that was the old scheme's own becomes the new one's."""
        if not port:
            is_own = self.port == _PORTS[self.scheme]
            port = _PORTS[scheme or self.scheme] if is_own else self.port
        return WebAddress(scheme or self.scheme, self.host, port, target or self.target)

    @property
    def is_loopback(self) -> bool:
        """Whether the URL names this machine itself."""
        from ipaddress import ip_address

        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def proxy(self) -> Proxy | None:
        """The proxy that the environment says for it."""
        from urllib.request import getproxies_environment, proxy_bypass

        said = getproxies_environment().get(self.scheme, "")
        if not said or self.is_loopback or proxy_bypass(f"{self.host}:{self.port}"):
            return None
        return Proxy(said)


class Proxy:
    """A proxy: ``host``, ``port`` and the header that ``authorization`` needs, if any."""

    __slots__ = ("authorization", "host", "port")

    def __init__(self, text: str) -> None:
        from base64 import b64encode
        from urllib.parse import unquote, urlsplit

        parts = urlsplit(text if "://" in text else f"http://{text}")
        try:
            self.port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            self.port = 0
        if parts.scheme != "http" or not parts.hostname or not self.port:
            raise InvalidInput(
                "the proxy of the environment is not http://HOST:PORT", hint="look at https_proxy"
            )
        self.host = parts.hostname
        self.authorization: dict[str, str] = {}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self.authorization["Proxy-Authorization"] = "Basic " + b64encode(pair.encode()).decode()


def parse_url(text: str) -> WebAddress:
    """Checks a URL; ``InvalidInput`` says what is wrong with it, without repeating a password."""
    from urllib.parse import quote, urlsplit

    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidInput(f"{_shown(text)} is not a URL: {error}") from error
    if parts.scheme not in _PORTS:
        raise InvalidInput(f"{_shown(text)} is not an http or https URL", hint="https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            f"{_shown(text)} has a password in it", hint="a URL is seen by others and written to logs"
        )
    if not host or not host.isascii() or any(not (char.isalnum() or char in ".-_~:") for char in host):
        raise InvalidInput(f"{_shown(text)} names no host")
    if port == 0:
        raise InvalidInput(f"{_shown(text)}: port 0")
    target = quote(parts.path, safe="/%:@!$&'()*+,;=~") or "/"
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    return WebAddress(parts.scheme, host, port or _PORTS[parts.scheme], target)


def redirected(address: WebAddress, location: str) -> WebAddress:
    """Where ``address`` redirects to; ``Unavailable`` where that is nothing to be fetched."""
    from urllib.parse import urljoin

    try:
        return parse_url(urljoin(address.url, location))
    except (InvalidInput, ValueError) as error:
        raise Unavailable(f"{address}: redirected to {_shown(location)!r}, which is not fetched") from error


def _shown(text: str) -> str:
    """A URL for a message: no credentials, no query, nothing unprintable."""
    head = text.partition("?")[0][:200]
    scheme, mark, rest = head.partition("://")
    if mark and "@" in rest.partition("/")[0]:
        rest = "..." + rest[rest.index("@") :]
    return "".join(char if char.isprintable() else "\ufffd" for char in scheme + mark + rest)

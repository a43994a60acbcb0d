"""Web addresses that strangers send: taken apart strictly, and shown without what could be a secret."""

from __future__ import annotations

_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_PORTS = {"http": 80, "https": 443}
_URL_LENGTH = 16384


class Url:
    """An ``http`` or ``https`` address. ``host`` is in lower case and without brackets, ``port`` always
    there, ``target`` the path with the query. Has no user name. ``str()`` leaves out the query, which in
    redirects to storage is a signature.
    """

    __slots__ = ("host", "port", "scheme", "target")

    def __init__(self, scheme: str, host: str, port: int, target: str) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.target = target

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target.partition('?')[0]}"

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What has to be the same for credentials to be sent: scheme, host and port."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """``host``, or ``host:port`` where the port is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def whole(self) -> str:
        """With the query: to be used, never to be shown."""
        return f"{self.scheme}://{self.authority}{self.target}"

    def with_query(self, *pairs: tuple[str, str]) -> Url:
        """The same with more query parameters, which are escaped."""
        from urllib.parse import urlencode

        if not pairs:
            return self
        path, mark, query = self.target.partition("?")
        added = urlencode(pairs, safe=":/,")
        return Url(self.scheme, self.host, self.port, f"{path}?{query}{'&' if mark and query else ''}{added}")


def parse_url(text: str) -> Url:
    """Takes an absolute URL apart; ``ValueError`` says what is wrong, without repeating any of it."""
    from urllib.parse import urlsplit

    _check_characters(text)
    try:
        parts = urlsplit(text)
    except ValueError:  # its words repeat the host
        raise ValueError("its host is no IPv6 address") from None
    if parts.scheme not in _PORTS:
        raise ValueError(f"its scheme is {parts.scheme[:20]!r}, neither http nor https")
    if "@" in parts.netloc:
        raise ValueError("it has a user name in it")
    host, port = split_port(parts.netloc)
    target = parts.path or "/"
    if parts.query:
        target += "?" + parts.query
    return Url(parts.scheme, host, port or _PORTS[parts.scheme], target)


def resolve_url(base: Url, location: str) -> Url:
    """What a ``Location`` or ``Link`` in an answer from ``base`` leads to; ``ValueError`` as `parse_url`."""
    from urllib.parse import urljoin

    _check_characters(location)
    try:
        joined = urljoin(base.whole, location)
    except ValueError:
        raise ValueError("its host is no IPv6 address") from None
    return parse_url(joined)


def _check_characters(text: str) -> None:
    if len(text) > _URL_LENGTH:
        raise ValueError("it is too long")
    if any(not "!" <= character <= "~" for character in text) or "\\" in text:
        raise ValueError("it has a character that no URL has")


def split_port(authority: str) -> tuple[str, int]:
    """``host[:port]`` taken apart; the port is 0 where there is none. ``ValueError`` where it is neither."""
    if authority.startswith("["):
        from ipaddress import IPv6Address

        address, bracket, port = authority[1:].partition("]")
        if not bracket or (port and not port.startswith(":")) or "%" in address:
            raise ValueError("its host is no IPv6 address")
        try:
            host = str(IPv6Address(address))
        except ValueError:
            raise ValueError("its host is no IPv6 address") from None
        port = port[1:] if port else "0"
    else:
        name, colon, port = authority.partition(":")
        host = name.lower()
        port = port if colon else "0"
        if not host or not all(label and _LABEL.issuperset(label) for label in host.split(".")):
            raise ValueError("its host is no host name")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536):
        raise ValueError("its port is no port")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether a host, without port and brackets, is this machine by its very name."""
    if host == "localhost":
        return True
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def mask_user(text: str) -> str:
    """A location or URL that somebody wrote, fit for a message: what stands before an ``@`` is left out.

    More may go than would have to: a secret may hold any character.
    """
    before, at, rest = text.rpartition("@")
    if not at:
        return text
    scheme, mark, _ = before.partition("://")
    return f"{scheme}://***@{rest}" if mark else f"***@{rest}"

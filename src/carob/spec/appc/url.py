"""Web addresses in annotations: what Go's ``net/url`` takes, with the scheme http or https."""

from __future__ import annotations

from carob.spec.appc.fault import FieldError
from carob.spec.appc.names import Text

_HEX = frozenset("0123456789abcdefABCDEF")
_ALNUM = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_SCHEME = _ALNUM | set("+-.")
_HOST = _ALNUM | set("-_.~!$&'()*+,;=:[]<>\"")
_USER = _ALNUM | set("-._:~!$&'()*+,;=%@")


class URL(Text):
    """An http or https URL, kept as it was given."""

    __slots__ = ()

    @staticmethod
    def _canonical(text: str) -> str:
        try:
            _check(text)
        except ValueError as error:
            raise FieldError(f"{text!r} is not an http or https URL: {error}") from None
        return text


def _check(text: str) -> None:
    url, _, fragment = text.partition("#")
    if any(char < " " or char == "\x7f" for char in url):
        raise ValueError("it has a control character")
    scheme, colon, rest = url.partition(":")
    if not colon or not _SCHEME.issuperset(scheme) or scheme.lower() not in ("http", "https"):
        raise ValueError("the scheme must be http or https")
    rest = rest.partition("?")[0]
    if rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        _check_authority(authority)
        _check_escapes(slash + path)
    elif rest.startswith("/"):
        _check_escapes(rest)
    _check_escapes(fragment)


def _check_authority(authority: str) -> None:
    user, at, host = authority.rpartition("@")
    if host.rfind("[") > 0:
        raise ValueError("a bracket is not where the host starts")
    if host.startswith("["):
        _check_ip_literal(host)
    else:
        name, colon, port = host.rpartition(":")
        if colon and not _is_port(port):
            raise ValueError(f"bad port {port!r}")
        _check_host(name if colon else host)
    if at:
        if not _USER.issuperset(user):
            raise ValueError("bad user information")
        for part in user.partition(":")[::2]:
            _check_escapes(part)


def _is_port(text: str) -> bool:
    return text == "" or (text.isascii() and text.isdigit())


def _check_ip_literal(host: str) -> None:
    address, bracket, port = host[1:].rpartition("]")
    if not bracket:
        raise ValueError("']' is missing")
    if port and not (port[0] == ":" and _is_port(port[1:])):
        raise ValueError(f"bad port {port!r}")
    from ipaddress import IPv6Address

    address, percent, zone = address.partition("%25")
    if percent:
        _check_zone(zone)
    if "%" in address:
        raise ValueError("bad address")
    IPv6Address(address)


def _check_zone(zone: str) -> None:
    _check_escapes(zone)
    if not zone:
        raise ValueError("the zone is empty")
    position = 0
    while position < len(zone):
        char = zone[position]
        if char == "%":
            char = chr(int(zone[position + 1 : position + 3], 16))
            if char not in _HOST and char not in " %":
                raise ValueError("bad escape in the zone")
            position += 2
        elif char not in _HOST and char.isascii():
            raise ValueError("bad character in the zone")
        position += 1


def _check_host(name: str) -> None:
    _check_escapes(name)
    for index, char in enumerate(name):
        if char == "%":
            # Only bytes beyond ASCII, and the percent sign itself, may be escaped in a host.
            if name[index + 1] in "01234567" and name[index + 1 : index + 3] != "25":
                raise ValueError("bad escape in the host")
        elif char not in _HOST and char.isascii():
            raise ValueError(f"{char!r} in the host")


def _check_escapes(text: str) -> None:
    for piece in text.split("%")[1:]:
        if len(piece) < 2 or piece[0] not in _HEX or piece[1] not in _HEX:
            raise ValueError(f"bad escape %{piece[:2]}")

"""Bearer tokens from a token server (distribution's docs/content/spec/auth: token.md and oauth.md).

With user and password, or anonymously: ``GET realm?service=...&scope=...``, Basic in the header. With an
identity token: ``POST realm`` with the form of OAuth 2's ``refresh_token`` grant.
"""

from __future__ import annotations

import time

from carob.errors import CorruptData, Rejected
from carob.image.registry.requester import Request
from carob.image.registry.urls import is_loopback, parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.image.registry.credentials import Credentials
    from carob.image.registry.requester import Requester
    from carob.image.registry.urls import Url

CLIENT_ID = "carob"
DEFAULT_LIFE_S = 60
_LONGEST_LIFE_S = 86400
_EARLY = 0.1
"""A token is renewed when a tenth of its life is left."""
_TOKEN_BYTES = 1 << 20
_TOKEN_LENGTH = 1 << 16


class Token:
    """A bearer token: ``header`` is what to send, ``good_until`` a time of ``time.monotonic``."""

    __slots__ = ("good_until", "header")

    def __init__(self, header: str, good_until: float) -> None:
        self.header = header
        self.good_until = good_until

    def __repr__(self) -> str:
        return "Token()"

    @property
    def is_good(self) -> bool:
        """Whether it is to be sent still."""
        return time.monotonic() < self.good_until


def check_realm(realm: str, registry: Url, *, insecure: bool) -> Url:
    """The token server's URL. ``CorruptData`` where it is none, ``Rejected`` where it may not be asked.

    A token server may be on any host, since Docker's protocol has it so, and gets the credentials that the
    user keeps for this registry. It is asked by https; by plain http only where the registry is insecure by
    configuration, or where the registry and it are both on this machine.
    """
    host = registry.authority
    try:
        url = parse_url(realm)
    except ValueError as error:
        raise CorruptData(f"{host} names a token server that is no web address: {error}") from None
    both_here = is_loopback(registry.host) and is_loopback(url.host)
    if url.scheme == "http" and not insecure and not both_here:
        raise Rejected(
            f"{host} wants credentials sent to {url}, without TLS",
            hint="insecure = true in registries.toml would allow it for this registry",
        )
    return url


def fetch_token(
    requester: Requester,
    realm: Url,
    service: str,
    scopes: tuple[str, ...],
    credentials: Credentials | None,
) -> Token:
    """Asks for a token. ``PermissionDenied`` where the server does not know the user."""
    begun = time.monotonic()
    what = f"a token from {realm}"
    if credentials is not None and credentials.identity_token:
        request = _refresh(realm, service, scopes, credentials, what)
    else:
        request = _get(realm, service, scopes, credentials, what)
    document = requester.send(request).json(f"the answer of {realm}", limit=_TOKEN_BYTES)
    return _token(document, f"the answer of {realm}", begun)


def _get(
    realm: Url, service: str, scopes: tuple[str, ...], credentials: Credentials | None, what: str
) -> Request:
    query = [("service", service)] if service else []
    query += [("scope", scope) for scope in scopes]
    headers = {}
    if credentials is not None and credentials.username:
        query.append(("account", credentials.username))
        headers["Authorization"] = credentials.basic
    return Request("GET", realm.with_query(*query), what, headers=headers)


def _refresh(
    realm: Url, service: str, scopes: tuple[str, ...], credentials: Credentials, what: str
) -> Request:
    from urllib.parse import urlencode

    form = urlencode(
        {
            "grant_type": "refresh_token",
            "refresh_token": credentials.identity_token,
            "service": service,
            "client_id": CLIENT_ID,
            "scope": " ".join(scopes),
        }
    ).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request("POST", realm, what, headers=headers, body=lambda: form, length=len(form), is_secret=True)


def _token(document: dict[str, Any], what: str, begun: float) -> Token:
    text = document.get("token") or document.get("access_token")
    if not isinstance(text, str) or not is_token(text):
        raise CorruptData(f"{what}: it has no token")
    life = document.get("expires_in")
    if not isinstance(life, int | float) or isinstance(life, bool) or not 0 < life < float("inf"):
        life = DEFAULT_LIFE_S
    life_s = float(min(max(life, 1), _LONGEST_LIFE_S))  # float last: an integer may be too large for it
    return Token(f"Bearer {text}", begun + life_s * (1 - _EARLY))


def is_token(text: str) -> bool:
    """Whether a text can stand in a header as a bearer token: visible ASCII characters."""
    return 0 < len(text) <= _TOKEN_LENGTH and all("!" <= character <= "~" for character in text)

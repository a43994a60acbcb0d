"""Which ``Authorization`` a registry gets, for one repository.

Nothing is sent before the registry asks (401), and the credentials are not even looked up. A registry that
offers several ways gets a bearer token before Basic. Tokens are kept by realm, service and scope until
shortly before they end.
"""

from __future__ import annotations

import threading

from carob.errors import InvalidInput, PermissionDenied, Unsupported
from carob.image.registry.challenge import parse_challenges
from carob.image.registry.requester import Requester
from carob.image.registry.tokens import Token, check_realm, fetch_token, is_token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.image.registry.challenge import Challenge
    from carob.image.registry.credentials import Credentials
    from carob.image.registry.limits import Limits
    from carob.image.registry.transport import Transport
    from carob.image.registry.urls import Url

_LOGIN_HINT = "log in first, for example by skopeo login {host}, podman login {host} or docker login {host}"
_SERVICE_LENGTH = 1024
_SCOPES = 16


class _Want:
    """What the registry wants for some scopes: ``realm``, ``service`` and ``scopes`` of a token."""

    __slots__ = ("realm", "scopes", "service")

    def __init__(self, realm: Url, service: str, scopes: tuple[str, ...]) -> None:
        self.realm = realm
        self.service = service
        self.scopes = scopes

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        return self.realm.whole, self.service, self.scopes


class Authorizer:
    """Knows how to be allowed. For any number of threads, of which one at a time asks a token server.

    ``find`` looks the credentials up and is called at most once; ``host`` is for messages.
    """

    def __init__(
        self,
        host: str,
        find: Callable[[], Credentials | None],
        transport: Transport,
        limits: Limits,
        *,
        insecure: bool = False,
    ) -> None:
        self._host = host
        self._find = find
        self._requester = Requester(transport, limits, insecure=insecure, mask=self.mask)
        self._insecure = insecure
        self._lock = threading.RLock()
        self._is_looked_up = False
        self._credentials: Credentials | None = None
        self._basic = ""
        self._wants: dict[tuple[str, ...], _Want] = {}
        self._tokens: dict[tuple[str, str, tuple[str, ...]], Token] = {}

    def __repr__(self) -> str:
        return f"Authorizer({self._host!r})"

    def header(self, scopes: tuple[str, ...]) -> str:
        """What to send with a request for which a token needs ``scopes``; ``""`` as long as nobody asked."""
        with self._lock:
            if self._basic:
                return self._basic
            want = self._wants.get(scopes)
            return self._bearer(want) if want is not None else ""

    def answer(self, lines: list[str], url: Url, scopes: tuple[str, ...], *, refused: str) -> str:
        """What to send after the registry answered 401 with ``lines`` to the header ``refused``; ``""`` where
        there is nothing that it has not refused yet. Raises what the credentials and the token server raise.
        """
        with self._lock:
            known = self.header(scopes)
            if known and known != refused:
                return known  # another thread was here
            challenges = {challenge.scheme: challenge for challenge in reversed(parse_challenges(lines))}
            if "bearer" in challenges:
                return self._answer_bearer(challenges["bearer"], url, scopes, refused)
            if "basic" in challenges:
                return self._answer_basic(refused)
            if not challenges:
                return ""
            raise Unsupported(
                f"{self._host} wants to know who you are in a way that carob has not got: "
                f"{', '.join(sorted(challenges))[:100]}"
            )

    def hint(self) -> str:
        """What to do where the registry does not allow something."""
        if not self._is_looked_up or self._credentials is None:
            return _LOGIN_HINT.format(host=self._host)
        return f"the credentials from {self._credentials.origin} may be wrong, old, or not allow this"

    def mask(self, text: str) -> str:
        """Takes secrets out of a text: a server may repeat what it was sent."""
        with self._lock:
            secrets = [token.header.removeprefix("Bearer ") for token in self._tokens.values()]
            if self._credentials is not None:
                secrets += self._credentials.secrets
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _look_up(self) -> Credentials | None:
        if not self._is_looked_up:
            self._credentials = self._find()
            self._is_looked_up = True
        return self._credentials

    def _answer_basic(self, refused: str) -> str:
        credentials = self._look_up()
        if credentials is None or not credentials.username or refused == credentials.basic:
            return ""
        self._basic = credentials.basic
        return self._basic

    def _answer_bearer(self, challenge: Challenge, url: Url, scopes: tuple[str, ...], refused: str) -> str:
        realm = check_realm(challenge.parameters.get("realm", ""), url, insecure=self._insecure)
        service = challenge.parameters.get("service", "")[:_SERVICE_LENGTH]
        asked = challenge.parameters.get("scope", "").split()[:_SCOPES]
        wanted = merge_scopes((*scopes, *asked))
        want = _Want(realm, service, wanted)
        self._wants[scopes] = want
        token = self._tokens.get(want.key)
        if token is not None and token.header == refused:
            del self._tokens[want.key]
        header = self._bearer(want)
        return "" if header == refused else header

    def _bearer(self, want: _Want) -> str:
        token = self._tokens.get(want.key)
        if token is None or not token.is_good:
            credentials = self._look_up()
            if credentials is not None and credentials.registry_token:
                if not is_token(credentials.registry_token):
                    raise InvalidInput(f"the token from {credentials.origin} is none: it has odd characters")
                return f"Bearer {credentials.registry_token}"
            token = self._fetch(want, credentials)
            self._tokens[want.key] = token
        return token.header

    def _fetch(self, want: _Want, credentials: Credentials | None) -> Token:
        try:
            return fetch_token(self._requester, want.realm, want.service, want.scopes, credentials)
        except PermissionDenied as error:
            raise PermissionDenied(error.message, hint=self.hint()) from None


def merge_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """The same rights with one scope for each resource: ``type:name:action,action``."""
    actions: dict[str, set[str]] = {}
    for scope in scopes:
        resource, _, named = scope.rpartition(":")
        actions.setdefault(resource, set()).update(named.split(","))
    return tuple(sorted(f"{resource}:{','.join(sorted(named))}" for resource, named in actions.items()))

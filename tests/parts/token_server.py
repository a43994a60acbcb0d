"""A token server for a registry: hands out signed JSON web tokens that the real registry checks.

As distribution's token specification says (docs/spec/auth/token.md, oauth.md, jwt.md, scope.md), in which
Docker Hub, GitLab and others follow: GET with or without basic auth, or POST by OAuth2.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.parts.certificates import Authority, Certificate
from tests.parts.loopback import Handler, LoopbackServer

ISSUER = "carob-tests"
SERVICE = "loopback-registry"
_ALL = frozenset({"pull", "push", "delete", "*"})


class Asked(NamedTuple):
    """One request for a token. ``user`` is None for an anonymous one, ``granted`` None for a refused one.

    ``grant`` is ``basic``, ``none``, ``password`` or ``refresh_token``.
    """

    user: str | None
    scopes: tuple[str, ...]
    service: str
    grant: str
    granted: tuple[str, ...] | None


class Signer:
    """Signs tokens with a certificate of the authority, which goes along in each token's header."""

    def __init__(self, certificate: Certificate) -> None:
        key = serialization.load_pem_private_key(certificate.key_file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        chain = x509.load_pem_x509_certificates(certificate.chain_file.read_bytes())
        self._chain = [
            base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain
        ]

    def token(self, claims: dict[str, Any]) -> str:
        """A JSON web token (RFC 7519), signed by ES256 (RFC 7518, 3.4)."""
        header = {"typ": "JWT", "alg": "ES256", "x5c": self._chain}
        signed = f"{_url64(json.dumps(header).encode())}.{_url64(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_url64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class TokenServer(LoopbackServer):
    """``url`` is the realm. The user may do all, anybody may pull from repositories below ``public/``.

    ``asked`` are the requests so far. Tokens last ``lifetime_s``; a registry accepts them a minute longer.
    Where ``oauth`` is false, POST is answered 404 as older servers do.
    """

    def __init__(
        self, authority: Authority, *, user: str, password: str, secured: bool = True, oauth: bool = True
    ) -> None:
        self.asked: list[Asked] = []
        self.lifetime_s = 300
        self.oauth = oauth
        self.root_file: Path = authority.ca_file
        self._credentials = (user, password)
        self._rights: dict[tuple[str | None, str], frozenset[str]] = {}
        self._refresh_tokens: dict[str, str] = {}
        self._signer = Signer(authority.issue())
        self.handler = _TokenHandler
        super().__init__(certificate=authority.issue() if secured else None)

    @property
    def url(self) -> str:
        return self.base_url + "/token"

    def allow(self, user: str | None, repository: str, *actions: str) -> None:
        """From now on the user, or with None anybody, may do this with the repository and nothing else."""
        self._rights[user, repository] = frozenset(actions)

    def known(self, user: str, password: str) -> bool:
        """Whether these are the credentials."""
        return (user, password) == self._credentials

    def refresh_token(self, user: str) -> str:
        """A token by which the user gets further tokens."""
        made = secrets.token_urlsafe(24)
        self._refresh_tokens[made] = user
        return made

    def owner_of(self, refresh_token: str) -> str | None:
        """The user whose token it is."""
        return self._refresh_tokens.get(refresh_token)

    def answer(self, user: str | None, scopes: list[str], service: str, grant: str) -> dict[str, Any]:
        """Grants what the user may of what was asked: a token may well hold less than that."""
        access = [self._granted(user, part) for scope in scopes for part in scope.split()]
        now = int(time.time())
        token = self._signer.token(
            {
                "iss": ISSUER,
                "sub": user or "",
                "aud": service,
                "iat": now,
                "nbf": now - 10,
                "exp": now + self.lifetime_s,
                "jti": secrets.token_hex(8),
                "access": [entry for entry in access if entry["actions"]],
            }
        )
        granted = tuple(f"{e['type']}:{e['name']}:{','.join(e['actions'])}" for e in access if e["actions"])
        self.asked.append(Asked(user, tuple(scopes), service, grant, granted))
        issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        return {"token": token, "access_token": token, "expires_in": self.lifetime_s, "issued_at": issued}

    def _granted(self, user: str | None, scope: str) -> dict[str, Any]:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        if (user, name) in self._rights:
            may = self._rights[user, name]
        elif user is not None:
            may = _ALL
        else:
            may = frozenset({"pull"}) if name.startswith("public/") else frozenset()
        return {
            "type": kind,
            "name": name,
            "actions": [action for action in actions.split(",") if action in may],
        }


class _TokenHandler(Handler):
    @property
    def _owner(self) -> TokenServer:
        owner = self.server.owner  # type: ignore[attr-defined]
        assert isinstance(owner, TokenServer)
        return owner

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        query = parse_qs(target.query)
        scopes, service = query.get("scope", []), query.get("service", [""])[0]
        if target.path != "/token":
            self._say(404, {"error": "not found"})
            return
        user, known = self._basic()
        if not known:
            self._refuse(user, scopes, service, "basic")
            return
        answer = self._owner.answer(user, scopes, service, "none" if user is None else "basic")
        if user is not None and query.get("offline_token") == ["true"]:
            answer["refresh_token"] = self._owner.refresh_token(user)
        self._say(200, answer)

    def do_POST(self) -> None:
        form = parse_qs(self.body().decode())
        value = {name: values[0] for name, values in form.items()}
        scopes, service, grant = form.get("scope", []), value.get("service", ""), value.get("grant_type", "")
        if not self._owner.oauth or urlsplit(self.path).path != "/token":
            self._say(404, {"error": "not found"})
            return
        user: str | None = None
        if grant == "refresh_token":
            user = self._owner.owner_of(value.get("refresh_token", ""))
        elif grant == "password" and self._owner.known(value.get("username", ""), value.get("password", "")):
            user = value["username"]
        if user is None:
            self._refuse(None, scopes, service, grant)
            return
        answer = self._owner.answer(user, scopes, service, grant)
        if grant == "refresh_token":
            answer["refresh_token"] = value["refresh_token"]
        elif value.get("access_type") == "offline":
            answer["refresh_token"] = self._owner.refresh_token(user)
        self._say(200, answer)

    def _basic(self) -> tuple[str | None, bool]:
        """Who asks, None for nobody, and whether that is true."""
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return None, True
        user, _, password = base64.b64decode(encoded).decode().partition(":")
        return user, scheme.lower() == "basic" and self._owner.known(user, password)

    def _refuse(self, user: str | None, scopes: list[str], service: str, grant: str) -> None:
        self._owner.asked.append(Asked(user, tuple(scopes), service, grant, None))
        self._say(401, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]})

    def _say(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _url64(data: bytes) -> str:
    """Base64 for URLs without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

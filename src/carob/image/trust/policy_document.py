"""Reading a policy in the format of containers-policy.json(5).

Pure, and strict: what is not understood is not passed over.
"""

from __future__ import annotations

import base64

from carob.errors import InvalidInput
from carob.image.trust.docker_reference import parse_docker_reference, parse_prefix
from carob.image.trust.identity import DEFAULT_RULE, IdentityRule
from carob.image.trust.requirements import (
    AcceptAnything,
    KeySource,
    NotSupported,
    Reject,
    Requirements,
    SignedBy,
    SigstoreSigned,
)
from carob.image.trust.scopes import check_scope
from carob.image.trust.strict_json import fields, object_at, parse_strict, text_at, texts_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.image.trust.requirements import Requirement

POLICY_BYTES = 4 << 20

_KEYS_OF_SIGNED_BY = ("keyPath", "keyPaths", "keyData")
_KEYS_OF_SIGSTORE = ("keyPath", "keyPaths", "keyData", "keyDatas")
_OTHER_KEY_TYPES = ("signedByGPGKeys", "X509Certificates", "signedByX509CAs")
_REKOR = ("rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas")
_FULCIO = ("caPath", "caData", "oidcIssuer", "subjectEmail")
_PKI = (
    *("caRootsPath", "caRootsData", "caIntermediatesPath", "caIntermediatesData"),
    *("subjectEmail", "subjectHostname"),
)


def parse_policy_document(data: bytes, what: str) -> tuple[Requirements, dict[str, dict[str, Requirements]]]:
    """The default, and for each transport its scopes; ``InvalidInput`` names file and key at fault."""
    document = fields(
        parse_strict(data, what, limit_bytes=POLICY_BYTES),
        what,
        required=("default",),
        optional=("transports",),
    )
    transports: dict[str, dict[str, Requirements]] = {}
    for transport, scopes in object_at(document.get("transports", {}), f"{what}: transports").items():
        place = f"{what}: transports.{transport}"
        transports[transport] = {}
        for scope, items in object_at(scopes, place).items():
            try:
                check_scope(transport, scope)
            except InvalidInput as error:
                raise InvalidInput(f"{place}: bad scope: {error.message}", hint=error.hint) from error
            transports[transport][scope] = _requirements(items, f"{place}[{scope!r}]")
    return _requirements(document["default"], f"{what}: default"), transports


def _requirements(items: object, what: str) -> Requirements:
    if not isinstance(items, list) or not items:
        raise InvalidInput(f"{what}: not a list of at least one requirement")
    return Requirements(
        what, tuple(_requirement(item, f"{what}[{number}]") for number, item in enumerate(items))
    )


def _requirement(item: object, what: str) -> Requirement:
    kind = text_at(object_at(item, what), "type", what)
    match kind:
        case "insecureAcceptAnything":
            fields(item, what, required=("type",))
            return AcceptAnything()
        case "reject":
            fields(item, what, required=("type",))
            return Reject()
        case "signedBy":
            return _signed_by(item, what)
        case "sigstoreSigned":
            return _sigstore_signed(item, what)
        case "signedBaseLayer":
            document = fields(item, what, required=("type", "baseLayerIdentity"))
            _identity(document["baseLayerIdentity"], f"{what}.baseLayerIdentity")
            return NotSupported(f"{what}: the type 'signedBaseLayer'")
        case _:
            raise InvalidInput(f"{what}: unknown type {kind!r}")


def _signed_by(item: object, what: str) -> Requirement:
    document = fields(
        item, what, required=("type", "keyType"), optional=(*_KEYS_OF_SIGNED_BY, "signedIdentity")
    )
    keys = _keys(document, _KEYS_OF_SIGNED_BY, what)
    identity = _identity_of(document, what)
    key_type = text_at(document, "keyType", what)
    if key_type in _OTHER_KEY_TYPES:
        return NotSupported(f"{what}: the keyType {key_type!r}")
    if key_type != "GPGKeys":
        raise InvalidInput(f"{what}: unknown keyType {key_type!r}")
    return SignedBy(keys, identity)


def _sigstore_signed(item: object, what: str) -> Requirement:
    others = ("fulcio", "pki")
    document = fields(
        item, what, required=("type",), optional=(*_KEYS_OF_SIGSTORE, *others, *_REKOR, "signedIdentity")
    )
    identity = _identity_of(document, what)
    if sum(key in document for key in _REKOR) > 1:
        raise InvalidInput(f"{what}: more than one of {', '.join(_REKOR)}")
    for other, known in (("fulcio", _FULCIO), ("pki", _PKI)):
        if other in document:
            fields(document[other], f"{what}.{other}", optional=known)
            if any(key in document for key in (*_KEYS_OF_SIGSTORE, *others) if key != other):
                raise InvalidInput(f"{what}: exactly one of keyPath, keyPaths, ..., fulcio, pki")
            return NotSupported(f"{what}: {other!r}")
    keys = _keys(document, _KEYS_OF_SIGSTORE, what)
    if rekor := next((key for key in _REKOR if key in document), ""):
        return NotSupported(f"{what}: {rekor!r}")
    return SigstoreSigned(keys, identity)


def _keys(document: dict[str, Any], names: tuple[str, ...], what: str) -> tuple[KeySource, ...]:
    given = [name for name in names if name in document]
    if len(given) != 1:
        raise InvalidInput(f"{what}: exactly one of {', '.join(names)} must be there")
    name = given[0]
    values = texts_at(document, name, what) if name.endswith("s") else [text_at(document, name, what)]
    place = f"{what}.{name}"
    if name.startswith("keyData"):
        return tuple(KeySource(place, data=_decoded(value, place)) for value in values)
    for value in values:
        if not value.startswith("/") or "\0" in value:
            raise InvalidInput(f"{place}: {value!r} is not an absolute path")
    return tuple(KeySource(f"{value} ({place})", path=value) for value in values)


def _decoded(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except ValueError as error:
        raise InvalidInput(f"{what}: not base64") from error
    if not data:
        raise InvalidInput(f"{what}: there is nothing in it")
    return data


def _identity_of(document: dict[str, Any], what: str) -> IdentityRule:
    if "signedIdentity" not in document:
        return DEFAULT_RULE
    return _identity(document["signedIdentity"], f"{what}.signedIdentity")


def _identity(value: object, what: str) -> IdentityRule:
    kind = text_at(object_at(value, what), "type", what)
    try:
        match kind:
            case "matchExact" | "matchRepoDigestOrExact" | "matchRepository":
                fields(value, what, required=("type",))
                return IdentityRule(kind)
            case "exactReference":
                text = text_at(
                    fields(value, what, required=("type", "dockerReference")), "dockerReference", what
                )
                reference = parse_docker_reference(text)
                if reference.is_name_only:
                    raise InvalidInput(f"{what}: {text!r} has neither tag nor digest")
                return IdentityRule(kind, reference=reference)
            case "exactRepository":
                text = text_at(
                    fields(value, what, required=("type", "dockerRepository")), "dockerRepository", what
                )
                return IdentityRule(kind, reference=parse_docker_reference(text))
            case "remapIdentity":
                document = fields(value, what, required=("type", "prefix", "signedPrefix"))
                return IdentityRule(
                    kind,
                    prefix=parse_prefix(text_at(document, "prefix", what)),
                    signed_prefix=parse_prefix(text_at(document, "signedPrefix", what)),
                )
    except InvalidInput as error:
        message = error.message if error.message.startswith(what) else f"{what}: {error.message}"
        raise InvalidInput(message, hint=error.hint) from error
    raise InvalidInput(f"{what}: unknown type {kind!r}")

"""Signatures as cosign makes them with a key, checked offline (cosign's SIGNATURE_SPEC.md).

The package ``cryptography`` does the mathematics; it is loaded when a policy asks for such a signature.
"""

from __future__ import annotations

import base64

from carob.errors import InvalidInput, Rejected, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"

_RSA_BITS = 2048


class SigstoreSignature:
    """``payload``, the signed bytes, and ``signature``, base64 as it came."""

    __slots__ = ("payload", "signature")

    def __init__(self, payload: bytes, signature: str) -> None:
        self.payload = payload
        self.signature = signature

    def __repr__(self) -> str:
        return f"SigstoreSignature({self.payload[:60]!r})"


def attachment_tag(digest: str) -> str:
    """The tag under which the signatures of a manifest are in its repository."""
    return digest.replace(":", "-", 1) + ".sig"


def read_public_key(data: bytes, what: str) -> Any:
    """A public key in PEM: ECDSA on a NIST curve, Ed25519, or RSA of 2048 bits and more."""
    serialization, ec, ed25519, rsa = _cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput(f"{what}: not a public key in PEM") from error
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
            raise InvalidInput(f"{what}: a key on the curve {key.curve.name}")
    elif isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _RSA_BITS:
            raise InvalidInput(f"{what}: an RSA key of {key.key_size} bits")
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise InvalidInput(f"{what}: a kind of key that signs no images")
    return key


def verify_payload(signature: SigstoreSignature, keys: Sequence[Any], what: str) -> bytes:
    """The payload, if one of the keys signed it; ``Rejected`` otherwise."""
    _, ec, ed25519, _ = _cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        made = base64.b64decode(signature.signature, validate=True)
    except ValueError as error:
        raise Rejected(f"{what}: not base64") from error
    for key in keys:
        try:
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(made, signature.payload, ec.ECDSA(SHA256()))
            elif isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(made, signature.payload)
            else:
                key.verify(made, signature.payload, PKCS1v15(), SHA256())
        except InvalidSignature:
            continue
        return signature.payload
    raise Rejected(f"{what}: not made by a trusted key")


def _cryptography() -> tuple[Any, Any, Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    except ImportError as error:
        raise Unsupported(
            "signatures of cosign need the package 'cryptography'", hint="pip install 'carob[trust]'"
        ) from error
    return serialization, ec, ed25519, rsa

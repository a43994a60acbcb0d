"""Whether an image meets the requirements of a policy."""

from __future__ import annotations

import hashlib

from carob.errors import CorruptData, InvalidInput, Rejected
from carob.image.trust.claims import COSIGN, SIMPLE, Claim, parse_claim
from carob.image.trust.identity import is_signed_as
from carob.image.trust.openpgp import read_keys, verify_message
from carob.image.trust.requirements import (
    AcceptAnything,
    NotSupported,
    Reject,
    Requirements,
    SignedBy,
    SigstoreSigned,
)
from carob.image.trust.sigstore import read_public_key, verify_payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carob.image.trust.docker_reference import DockerReference
    from carob.image.trust.requirements import KeySource, Requirement
    from carob.image.trust.sigstore import SigstoreSignature

KEY_FILE_BYTES = 1 << 20
_SIGNATURES = 64
_REASONS = 5


def _none() -> Sequence[bytes]:
    return ()


def _none_of_sigstore() -> Sequence[SigstoreSignature]:
    return ()


class Signatures:
    """Where the signatures of one manifest are got, when they are needed.

    ``simple`` gives the blobs of simple signing, ``sigstore`` those of cosign; both may raise, and then the
    image is not taken.
    """

    __slots__ = ("sigstore", "simple")

    def __init__(
        self,
        *,
        simple: Callable[[], Sequence[bytes]] = _none,
        sigstore: Callable[[], Sequence[SigstoreSignature]] = _none_of_sigstore,
    ) -> None:
        self.simple = simple
        self.sigstore = sigstore


def check(
    requirements: Requirements,
    manifest: bytes,
    digest: str,
    identity: DockerReference | None,
    signatures: Signatures,
    *,
    read: Callable[[KeySource], bytes] | None = None,
) -> None:
    """Returns if the image may be taken; raises ``Rejected``, which names the policy and the reason, if not.

    ``manifest`` are the bytes whose ``digest`` is signed; ``identity`` is the name that was asked for, or
    ``None``. ``read`` gets the keys of a policy: from their files if it is not given.
    """
    if "sha256:" + hashlib.sha256(manifest).hexdigest() != digest:
        raise CorruptData(f"manifest {digest} does not have its digest")
    read = read or read_key_file
    _check(
        requirements,
        str(identity or digest),
        lambda requirement: _reasons_against(requirement, digest, identity, signatures, read),
    )


def check_unsigned(requirements: Requirements, what: str) -> None:
    """The same for ``what`` cannot have been signed."""

    def reasons_against(requirement: Requirement) -> Sequence[str]:
        if isinstance(requirement, SignedBy | SigstoreSigned):
            return ["it is not signed"]
        return _reasons_against(requirement, "", None, Signatures(), read_key_file)

    _check(requirements, what, reasons_against)


def _check(
    requirements: Requirements, what: str, reasons_against: Callable[[Requirement], Sequence[str]]
) -> None:
    if not requirements.items:
        raise Rejected(f"{requirements.what}: nothing is said, so nothing is let in")
    for requirement in requirements.items:
        reasons = reasons_against(requirement)
        if reasons:
            said = "; ".join(reasons[:_REASONS])
            raise Rejected(
                f"image {what} is not let in by {requirements.what}: {said}",
                hint="have it signed, or change the policy",
            )


def _reasons_against(
    requirement: Requirement,
    digest: str,
    identity: DockerReference | None,
    signatures: Signatures,
    read: Callable[[KeySource], bytes],
) -> list[str]:
    """Why a requirement is not met; nothing if it is."""
    match requirement:
        case AcceptAnything():
            return []
        case Reject():
            return ["it rejects every image"]
        case NotSupported():
            return [f"{requirement.reason} cannot be checked by carob"]
        case SignedBy() | SigstoreSigned():
            reasons = []
            claims = _simple_claims if isinstance(requirement, SignedBy) else _sigstore_claims
            for found in claims(requirement, signatures, read):
                if isinstance(found, str):
                    reasons.append(found)
                elif found.digest != digest:
                    reasons.append(f"a signature is for {found.digest}")
                elif not is_signed_as(requirement.identity, identity, found.name):
                    reasons.append(f"a signature is for the name {found.name!r}")
                else:
                    return []
            return reasons or ["it is not signed"]


def _simple_claims(
    requirement: SignedBy | SigstoreSigned, signatures: Signatures, read: Callable[[KeySource], bytes]
) -> list[Claim | str]:
    """What each simple signature says, or why it says nothing."""
    keys = [key for source in requirement.keys for key in read_keys(read(source), source.what)]
    found: list[Claim | str] = []
    for number, blob in enumerate(signatures.simple()[:_SIGNATURES], 1):
        what = f"signature {number}"
        try:
            payload, _ = verify_message(blob, keys, what)
            found.append(parse_claim(payload, SIMPLE, what))
        except (Rejected, CorruptData, InvalidInput) as error:
            found.append(error.message)
    return found


def _sigstore_claims(
    requirement: SignedBy | SigstoreSigned, signatures: Signatures, read: Callable[[KeySource], bytes]
) -> list[Claim | str]:
    keys = [read_public_key(read(source), source.what) for source in requirement.keys]
    found: list[Claim | str] = []
    for number, signature in enumerate(signatures.sigstore()[:_SIGNATURES], 1):
        what = f"cosign signature {number}"
        try:
            found.append(parse_claim(verify_payload(signature, keys, what), COSIGN, what))
        except (Rejected, CorruptData, InvalidInput) as error:
            found.append(error.message)
    return found


def read_key_file(source: KeySource) -> bytes:
    """The bytes of a policy's keys. ``InvalidInput`` names a file that cannot be read."""
    if not source.path:
        return source.data
    try:
        with open(source.path, "rb") as file:
            data = file.read(KEY_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"the key {source.what} cannot be read: {error.strerror}") from error
    if len(data) > KEY_FILE_BYTES:
        raise InvalidInput(f"the key {source.what} is larger than {KEY_FILE_BYTES} bytes")
    return data

"""Decisions about signed images: simple signing and cosign, replayed, altered and hostile."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from carob.errors import CorruptData, InvalidInput, Rejected
from carob.image.trust.decide import Signatures, check
from carob.image.trust.docker_reference import parse_docker_reference
from carob.image.trust.policy import parse_policy
from carob.image.trust.requirements import Requirements
from carob.image.trust.sigstore import SigstoreSignature, attachment_tag
from tests.needs import require_command
from tests.unit.image.trust.gpg import LONG_AGO, Gpg

MANIFEST = b'{"schemaVersion":2}'
DIGEST = "sha256:" + hashlib.sha256(MANIFEST).hexdigest()
NAME = "example.com/app:1"
Claim = dict[str, Any]


def claim(*, kind: str = "atomic container signature", digest: str = DIGEST, name: str = NAME) -> Claim:
    return {
        "critical": {
            "type": kind,
            "image": {"docker-manifest-digest": digest},
            "identity": {"docker-reference": name},
        },
        "optional": {"creator": "a test", "timestamp": 1483228800},
    }


def cosign_claim(**values: str) -> Claim:
    return {**claim(kind="cosign container image signature", **values), "optional": None}


def required(*items: Any) -> Requirements:
    document = {"default": list(items)}
    return parse_policy(json.dumps(document).encode(), "P").requirement("docker", NAME)


def signed_by(public: bytes, **more: Any) -> dict[str, Any]:
    data = base64.b64encode(public).decode()
    return {"type": "signedBy", "keyType": "GPGKeys", "keyData": data, **more}


def decide(
    requirements: Requirements,
    *,
    simple: Sequence[bytes] = (),
    sigstore: Sequence[SigstoreSignature] = (),
    name: str = NAME,
) -> None:
    signatures = Signatures(simple=lambda: simple, sigstore=lambda: sigstore)
    check(requirements, MANIFEST, DIGEST, parse_docker_reference(name) if name else None, signatures)


# --- without signatures -----------------------------------------------------------------------------


def never() -> Any:
    raise AssertionError("nobody needs signatures")


def test_accept_and_reject_do_not_ask_for_signatures() -> None:
    signatures = Signatures(simple=never, sigstore=never)
    check(required({"type": "insecureAcceptAnything"}), MANIFEST, DIGEST, None, signatures)
    with pytest.raises(Rejected, match=r"P: default.*rejects every image"):
        check(required({"type": "reject"}), MANIFEST, DIGEST, None, signatures)


def test_every_requirement_must_be_met() -> None:
    with pytest.raises(Rejected):
        decide(required({"type": "insecureAcceptAnything"}, {"type": "reject"}))


def test_what_cannot_be_checked_is_rejected_by_name() -> None:
    fulcio = {"type": "sigstoreSigned", "fulcio": {"caPath": "/x"}}
    with pytest.raises(Rejected, match="'fulcio' cannot be checked"):
        decide(required(fulcio))


def test_a_manifest_that_is_not_its_digest_is_corrupt() -> None:
    with pytest.raises(CorruptData):
        check(required({"type": "insecureAcceptAnything"}), MANIFEST + b" ", DIGEST, None, Signatures())


# --- simple signing ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key(gpg: Gpg) -> str:
    return gpg.key("Signer", at=LONG_AGO)


@pytest.fixture(scope="module")
def policy(gpg: Gpg, key: str) -> Requirements:
    return required(signed_by(gpg.public(key)))


@pytest.fixture
def sign(gpg: Gpg, key: str) -> Callable[..., bytes]:
    def make(document: Claim | bytes | None = None, **values: str) -> bytes:
        made = claim(**values) if document is None else document
        return gpg.message(made if isinstance(made, bytes) else json.dumps(made).encode(), key)

    return make


def test_a_good_simple_signature_is_accepted(policy: Requirements, sign: Callable[..., bytes]) -> None:
    decide(policy, simple=[sign()])


def test_one_good_signature_among_bad_ones_is_enough(
    policy: Requirements, sign: Callable[..., bytes]
) -> None:
    decide(policy, simple=[b"rubbish", sign(name="example.com/other:1"), sign()])


def test_no_signature_is_rejected(policy: Requirements) -> None:
    with pytest.raises(Rejected, match=r"example\.com/app:1 is not let in by P: default: it is not signed"):
        decide(policy)


def test_a_signature_for_another_digest_is_rejected(policy: Requirements, sign: Callable[..., bytes]) -> None:
    other = "sha256:" + "b" * 64
    with pytest.raises(Rejected, match=f"for {other}"):
        decide(policy, simple=[sign(digest=other)])


def test_a_signature_for_another_name_is_rejected(policy: Requirements, sign: Callable[..., bytes]) -> None:
    for name in ("example.com/app:2", "example.com/other:1", "example.comx/app:1", "example.com/app"):
        with pytest.raises(Rejected, match=f"for the name '{name}'"):
            decide(policy, simple=[sign(name=name)])


def test_a_signature_by_another_key_is_rejected(gpg: Gpg, policy: Requirements) -> None:
    other = gpg.key("Another signer")
    with pytest.raises(Rejected, match=f"made by {other}"):
        decide(policy, simple=[gpg.message(json.dumps(claim()).encode(), other)])


def test_an_expired_key_is_rejected(gpg: Gpg) -> None:
    old = gpg.key("Expired signer", expires="1y", at=LONG_AGO)
    made = gpg.message(json.dumps(claim()).encode(), old, at="20200601T000000")
    with pytest.raises(Rejected, match="expired"):
        decide(required(signed_by(gpg.public(old))), simple=[made])


def test_two_requirements_need_two_signers(gpg: Gpg, key: str, sign: Callable[..., bytes]) -> None:
    vendor = gpg.key("Vendor")
    both = required(signed_by(gpg.public(key)), signed_by(gpg.public(vendor)))
    with pytest.raises(Rejected):
        decide(both, simple=[sign()])
    decide(both, simple=[sign(), gpg.message(json.dumps(claim()).encode(), vendor)])


def test_a_detached_signature_is_no_simple_signature(gpg: Gpg, key: str, policy: Requirements) -> None:
    with pytest.raises(Rejected):
        decide(policy, simple=[gpg.sign(json.dumps(claim()).encode(), key, armor=False)])


def edited(path: str, value: object) -> Claim:
    """A claim with one value changed, added, or (``...``) taken out."""
    made = claim()
    place: Any = made
    *above, last = path.split(".")
    for part in above:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return made


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"not json",
        b"[]",
        b'{"critical":{},"critical":{},"optional":{}}',
        cosign_claim(),
        edited("more", 1),
        edited("optional", ...),
        edited("optional", None),
        edited("optional.timestamp", 1.5),
        edited("optional.timestamp", "1"),
        edited("optional.creator", 1),
        edited("critical.more", 1),
        edited("critical.type", "other"),
        edited("critical.type", None),
        edited("critical.image.more", 1),
        edited("critical.image", ...),
        edited("critical.image.docker-manifest-digest", "sha256:1"),
        edited("critical.image.docker-manifest-digest", 1),
        edited("critical.identity", {"Docker-Reference": NAME}),
        edited("critical.identity.docker-reference", [NAME]),
        json.dumps(edited("optional.timestamp", 1)).replace("1}", "1e999}").encode(),
        b'{"a":' * 10_000,
    ],
)
def test_a_signed_document_with_anything_unexpected_is_rejected(
    policy: Requirements, sign: Callable[..., bytes], document: Claim | bytes
) -> None:
    with pytest.raises(Rejected):
        decide(policy, simple=[sign(document)])


def test_unknown_optional_values_are_for_others(policy: Requirements, sign: Callable[..., bytes]) -> None:
    decide(policy, simple=[sign(edited("optional.something", {"a": [1]}))])
    decide(policy, simple=[sign(edited("optional", {}))])


def test_huge_and_many_signatures_cost_little(policy: Requirements, sign: Callable[..., bytes]) -> None:
    with pytest.raises(Rejected, match="larger than"):
        decide(policy, simple=[b"\xa3\x01" + bytes(10 << 20)])
    with pytest.raises(Rejected):
        decide(policy, simple=[*[b"x"] * 64, sign()])  # the 65th is not looked at


def test_a_name_that_is_remapped_and_one_that_the_policy_says(
    gpg: Gpg, key: str, sign: Callable[..., bytes]
) -> None:
    remap = {"type": "remapIdentity", "prefix": "mirror.net", "signedPrefix": "example.com"}
    mirrored = required(signed_by(gpg.public(key), signedIdentity=remap))
    decide(mirrored, simple=[sign()], name="mirror.net/app:1")
    with pytest.raises(Rejected):
        decide(mirrored, simple=[sign()], name="mirror.net/app:2")
    exact = {"type": "exactReference", "dockerReference": NAME}
    decide(required(signed_by(gpg.public(key), signedIdentity=exact)), simple=[sign()], name="")


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.gpg"
    requirement = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(path)}
    with pytest.raises(InvalidInput, match=str(path)):
        decide(required(requirement), simple=[b"x"])


# --- cosign ----------------------------------------------------------------------------------------------


class CosignKey:
    """A key pair made by OpenSSL, which signs as SIGNATURE_SPEC.md says."""

    def __init__(self, directory: Path, *options: str, is_prehashed: bool = True) -> None:
        self.openssl = require_command("openssl")
        self.path = directory / "key.pem"
        self._is_prehashed = is_prehashed
        directory.mkdir(parents=True, exist_ok=True)
        self._run("genpkey", *options, "-out", str(self.path))
        self.public = self._run("pkey", "-in", str(self.path), "-pubout")

    def _run(self, *words: str, data: bytes = b"") -> bytes:
        return subprocess.run([self.openssl, *words], input=data, capture_output=True, check=True).stdout

    def sign(self, document: Claim) -> SigstoreSignature:
        payload = json.dumps(document).encode()
        if self._is_prehashed:
            made = self._run("dgst", "-sha256", "-sign", str(self.path), data=payload)
        else:
            file = self.path.with_name("payload")
            file.write_bytes(payload)
            made = self._run("pkeyutl", "-sign", "-rawin", "-inkey", str(self.path), "-in", str(file))
        return SigstoreSignature(payload, base64.b64encode(made).decode())

    def requirement(self, **more: Any) -> dict[str, Any]:
        return {"type": "sigstoreSigned", "keyData": base64.b64encode(self.public).decode(), **more}


P256 = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
ED25519 = ("-algorithm", "ED25519")


@pytest.fixture(scope="module")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> CosignKey:
    return CosignKey(tmp_path_factory.mktemp("cosign"), *P256)


def test_a_good_cosign_signature_is_accepted(cosign: CosignKey) -> None:
    decide(required(cosign.requirement()), sigstore=[cosign.sign(cosign_claim())])


@pytest.mark.parametrize(
    ("options", "is_prehashed"),
    [
        (ED25519, False),
        (("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"), True),
        (("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"), True),
    ],
)
def test_other_kinds_of_keys_sign_too(tmp_path: Path, options: tuple[str, ...], is_prehashed: bool) -> None:
    made = CosignKey(tmp_path, *options, is_prehashed=is_prehashed)
    decide(required(made.requirement()), sigstore=[made.sign(cosign_claim())])
    damaged = SigstoreSignature(made.sign(cosign_claim()).payload + b" ", made.sign(cosign_claim()).signature)
    with pytest.raises(Rejected, match="not made by a trusted key"):
        decide(required(made.requirement()), sigstore=[damaged])


@pytest.mark.parametrize(
    "options",
    [
        ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"),
        ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"),
        ("-algorithm", "X25519"),
    ],
)
def test_weak_and_strange_keys_are_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    made = CosignKey(tmp_path, *options)
    with pytest.raises(InvalidInput, match="keyData"):
        decide(required(made.requirement()), sigstore=[SigstoreSignature(b"x", "eA==")])


def test_cosigns_own_signatures_name_a_repository_only(cosign: CosignKey) -> None:
    made = cosign.sign(cosign_claim(name="example.com/app"))
    with pytest.raises(Rejected, match=r"for the name 'example\.com/app'"):
        decide(required(cosign.requirement()), sigstore=[made])
    repository = cosign.requirement(signedIdentity={"type": "matchRepository"})
    decide(required(repository), sigstore=[made])
    with pytest.raises(Rejected):
        decide(required(repository), sigstore=[made], name="example.com/other:1")


def test_replayed_altered_and_foreign_cosign_signatures_are_rejected(
    cosign: CosignKey, tmp_path: Path
) -> None:
    other = CosignKey(tmp_path, *P256)
    good = cosign.sign(cosign_claim())
    for made in (
        other.sign(cosign_claim()),
        cosign.sign(cosign_claim(digest="sha256:" + "c" * 64)),
        cosign.sign(cosign_claim(name="example.com/app:2")),
        cosign.sign(claim()),  # a claim of simple signing
        SigstoreSignature(good.payload.replace(b"app:1", b"app:2"), good.signature),
        SigstoreSignature(good.payload, other.sign(cosign_claim()).signature),
        SigstoreSignature(good.payload, ""),
        SigstoreSignature(good.payload, "not base64!"),
        SigstoreSignature(good.payload, good.signature[:-4]),
        SigstoreSignature(b"", good.signature),
    ):
        with pytest.raises(Rejected):
            decide(required(cosign.requirement()), sigstore=[made])


def test_any_of_several_keys_will_do(cosign: CosignKey, tmp_path: Path) -> None:
    other = CosignKey(tmp_path, *P256)
    datas = [base64.b64encode(made.public).decode() for made in (other, cosign)]
    decide(required({"type": "sigstoreSigned", "keyDatas": datas}), sigstore=[cosign.sign(cosign_claim())])


def test_a_key_of_the_wrong_kind_is_named(cosign: CosignKey, gpg: Gpg, key: str, tmp_path: Path) -> None:
    swapped = {"type": "signedBy", "keyType": "GPGKeys", "keyData": base64.b64encode(cosign.public).decode()}
    with pytest.raises((InvalidInput, CorruptData), match="keyData"):
        decide(required(swapped), simple=[b"x"])
    data = base64.b64encode(gpg.public(key)).decode()
    with pytest.raises(InvalidInput, match="keyData"):
        decide(required({"type": "sigstoreSigned", "keyData": data}), sigstore=[])


def test_signatures_are_under_the_tag_that_cosign_gives_them() -> None:
    assert attachment_tag("sha256:97fc") == "sha256-97fc.sig"

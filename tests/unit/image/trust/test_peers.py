"""skopeo as the independent peer: it signs what carob checks, and decides about the same policies."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from carob.errors import CarobError, Rejected
from carob.image.fetch.documents import ManifestDocument
from carob.image.sources.directory import DirectorySource
from carob.image.sources.files import DirectoryFiles
from carob.image.trust.admission import Admission
from carob.image.trust.decide import Signatures, check
from carob.image.trust.docker_reference import parse_docker_reference
from carob.image.trust.policy import parse_policy
from carob.image.trust.signatures import directory_signatures
from carob.spec.address import DIRECTORY, ImageAddress
from carob.spec.oci.manifest import parse_manifest
from tests.needs import require_command
from tests.unit.image.archives import directory, layout_of, member, tar
from tests.unit.image.trust.gpg import LONG_AGO, Gpg

NAME = "example.com/ns/app:1"


class Skopeo:
    """skopeo with the keys of a GnuPG home and nobody's own configuration."""

    def __init__(self, gpg: Gpg, home: Path) -> None:
        self.program = require_command("skopeo")
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "GNUPGHOME": str(gpg.home)}
        self.environment |= {"TMPDIR": str(home), "XDG_RUNTIME_DIR": str(home)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *words], capture_output=True, text=True, check=False, env=self.environment
        )

    def ok(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def key(gpg: Gpg) -> str:
    return gpg.key("Peer", algorithm="rsa2048", at=LONG_AGO)


@pytest.fixture
def skopeo(gpg: Gpg, tmp_path: Path) -> Skopeo:
    home = tmp_path / "home"
    home.mkdir()
    return Skopeo(gpg, home)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return layout_of(tmp_path / "layout", tar(directory("etc"), member("etc/x", b"1")), name="a")


@pytest.fixture
def signed(skopeo: Skopeo, layout: Path, tmp_path: Path, key: str) -> Path:
    """An image in a directory, with a signature beside it that skopeo made."""
    path = tmp_path / "signed"
    skopeo.ok(
        *("--insecure-policy", "copy", "--quiet", "--preserve-digests", f"--sign-by={key}"),
        *(f"--sign-identity={NAME}", f"oci:{layout}:a", f"dir:{path}"),
    )
    return path


def signed_by(public: bytes, **identity: str) -> dict[str, Any]:
    made = {"type": "signedBy", "keyType": "GPGKeys", "keyData": base64.b64encode(public).decode()}
    return {**made, "signedIdentity": identity} if identity else made


# --- standalone-sign and standalone-verify ----------------------------------------------------------


def test_what_skopeo_signs_carob_accepts(gpg: Gpg, skopeo: Skopeo, signed: Path, key: str) -> None:
    manifest = (signed / "manifest.json").read_bytes()
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    output = signed / "standalone"
    skopeo.ok("standalone-sign", str(signed / "manifest.json"), NAME, key.upper(), "-o", str(output))
    policy = parse_policy(json.dumps({"default": [signed_by(gpg.public(key))]}).encode(), "P")
    signatures = Signatures(simple=lambda: [output.read_bytes()])
    required = policy.requirement("docker", NAME)
    check(required, manifest, digest, parse_docker_reference(NAME), signatures)
    with pytest.raises(Rejected):
        check(required, manifest, digest, parse_docker_reference("example.com/ns/app:2"), signatures)


def test_what_carob_accepts_skopeo_verifies(gpg: Gpg, skopeo: Skopeo, signed: Path, key: str) -> None:
    """A claim written by this test and signed by gpg: both take it, or both do not."""
    manifest = (signed / "manifest.json").read_bytes()
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    policy = parse_policy(json.dumps({"default": [signed_by(gpg.public(key))]}).encode(), "P")
    for name, expected in ((NAME, True), ("example.com/ns/app:2", False)):
        claim = {
            "critical": {
                "type": "atomic container signature",
                "image": {"docker-manifest-digest": digest},
                "identity": {"docker-reference": name},
            },
            "optional": {},
        }
        path = signed / "made"
        path.write_bytes(gpg.message(json.dumps(claim).encode(), key))
        done = skopeo.run("standalone-verify", str(signed / "manifest.json"), NAME, key.upper(), str(path))
        assert (done.returncode == 0) is expected
        required = policy.requirement("docker", NAME)
        signatures = Signatures(simple=lambda path=path: [path.read_bytes()])  # type: ignore[misc]
        try:
            check(required, manifest, digest, parse_docker_reference(NAME), signatures)
            assert expected
        except Rejected:
            assert not expected


# --- one policy, two readers ----------------------------------------------------------------------------


def carob_accepts(policy: dict[str, Any], path: Path) -> bool:
    """As the pipeline does: the manifest is read from the source, and the policy is asked."""
    source = DirectorySource(DirectoryFiles(str(path)), ImageAddress(DIRECTORY, str(path)))
    try:
        descriptor, data = source.root()
        found = ManifestDocument(descriptor, data, descriptor, data, parse_manifest(data, "m"))
        Admission(parse_policy(json.dumps(policy).encode(), "P"))(source, found)
    except CarobError:
        return False
    finally:
        source.close()
    return True


def skopeo_accepts(skopeo: Skopeo, policy: dict[str, Any], path: Path) -> bool:
    file = path.parent / "policy.json"
    file.write_text(json.dumps(policy))
    target = path.parent / "copied"
    done = skopeo.run("--policy", str(file), "copy", "--remove-signatures", f"dir:{path}", f"oci:{target}:x")
    return done.returncode == 0


def exact(reference: str) -> dict[str, str]:
    return {"type": "exactReference", "dockerReference": reference}


def repository(name: str) -> dict[str, str]:
    return {"type": "exactRepository", "dockerRepository": name}


@pytest.fixture(autouse=True)
def _no_own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


CASES = {
    "accept": (True, lambda k: {"default": [{"type": "insecureAcceptAnything"}]}),
    "reject": (False, lambda k: {"default": [{"type": "reject"}]}),
    "exact": (True, lambda k: {"default": [signed_by(k, **exact(NAME))]}),
    "exact, another tag": (False, lambda k: {"default": [signed_by(k, **exact("example.com/ns/app:2"))]}),
    "repository": (True, lambda k: {"default": [signed_by(k, **repository("example.com/ns/app"))]}),
    "another repository": (False, lambda k: {"default": [signed_by(k, **repository("example.com/ns"))]}),
    "no name to match": (False, lambda k: {"default": [signed_by(k)]}),
    "repository of the image": (False, lambda k: {"default": [signed_by(k, type="matchRepository")]}),
    "signed and rejected": (
        False,
        lambda k: {"default": [signed_by(k, **exact(NAME)), {"type": "reject"}]},
    ),
    "no requirement": (False, lambda k: {"default": []}),
    "unknown type": (False, lambda k: {"default": [{"type": "other"}]}),
    "unknown key": (False, lambda k: {"default": [{"type": "insecureAcceptAnything", "x": 1}]}),
    "no default": (False, lambda k: {"transports": {}}),
    "another key type": (
        False,
        lambda k: {"default": [{**signed_by(k, **exact(NAME)), "keyType": "X509Certificates"}]},
    ),
    "two key sources": (False, lambda k: {"default": [{**signed_by(k, **exact(NAME)), "keyPath": "/x"}]}),
}


@pytest.mark.parametrize("case", CASES)
def test_skopeo_and_carob_decide_alike(gpg: Gpg, skopeo: Skopeo, signed: Path, key: str, case: str) -> None:
    expected, make = CASES[case]
    policy = make(gpg.public(key))
    assert skopeo_accepts(skopeo, policy, signed) is expected
    assert carob_accepts(policy, signed) is expected


@pytest.mark.parametrize(
    ("scope", "expected"), [(".", True), ("..", True), ("signe", False), ("signed/deeper", False), ("", True)]
)
def test_skopeo_and_carob_find_the_same_scope(
    gpg: Gpg, skopeo: Skopeo, signed: Path, key: str, scope: str, expected: bool
) -> None:
    path = {"": "", ".": str(signed), "..": str(signed.parent)}.get(scope, str(signed.parent / scope))
    accept = [signed_by(gpg.public(key), **exact(NAME))]
    policy = {"default": [{"type": "reject"}], "transports": {"dir": {path: accept}}}
    assert skopeo_accepts(skopeo, policy, signed) is expected
    assert carob_accepts(policy, signed) is expected


def damage_signature(path: Path) -> None:
    file = path / "signature-1"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


def damage_manifest(path: Path) -> None:
    file = path / "manifest.json"
    file.write_bytes(file.read_bytes() + b"\n")


def remove_signature(path: Path) -> None:
    (path / "signature-1").unlink()


def rubbish(path: Path) -> None:
    (path / "signature-1").write_bytes(b"\x88rubbish")


def second_is_good(path: Path) -> None:
    (path / "signature-1").rename(path / "signature-2")
    (path / "signature-1").write_bytes(b"\x88rubbish")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (damage_signature, False),
        (damage_manifest, False),
        (remove_signature, False),
        (rubbish, False),
        (second_is_good, True),
    ],
)
def test_skopeo_and_carob_take_the_same_damage_ill(
    gpg: Gpg, skopeo: Skopeo, signed: Path, key: str, change: Any, expected: bool
) -> None:
    change(signed)
    policy = {"default": [signed_by(gpg.public(key), **exact(NAME))]}
    assert skopeo_accepts(skopeo, policy, signed) is expected
    assert carob_accepts(policy, signed) is expected


@pytest.mark.parametrize("state", ["other", "expired", "revoked"])
def test_skopeo_and_carob_refuse_the_same_keys(
    gpg: Gpg, skopeo: Skopeo, signed: Path, key: str, state: str
) -> None:
    name = f"Peer that is {state}"
    made = gpg.key(name, algorithm="rsa2048", expires="1y" if state == "expired" else "never", at=LONG_AGO)
    manifest = (signed / "manifest.json").read_bytes()
    claim = {
        "critical": {
            "type": "atomic container signature",
            "image": {"docker-manifest-digest": "sha256:" + hashlib.sha256(manifest).hexdigest()},
            "identity": {"docker-reference": NAME},
        },
        "optional": {},
    }
    signer = key if state == "other" else made
    message = gpg.message(json.dumps(claim).encode(), signer, at="20200601T000000")
    (signed / "signature-1").write_bytes(message)
    if state == "revoked":
        gpg.revoke(made, 1)
    policy = {"default": [signed_by(gpg.public(made), **exact(NAME))]}
    assert not skopeo_accepts(skopeo, policy, signed)
    assert not carob_accepts(policy, signed)


def test_a_sigstore_signature_in_a_directory_is_read(tmp_path: Path) -> None:
    """The form in which containers tools store what is no OpenPGP (containers/image, internal/signature)."""
    document = {
        "mimeType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "payload": base64.b64encode(b"payload").decode(),
        "annotations": {"dev.cosignproject.cosign/signature": "c2ln"},
    }
    (tmp_path / "signature-1").write_bytes(b"\0sigstore-json\n" + json.dumps(document).encode())
    (tmp_path / "signature-2").write_bytes(b"\0simple-signing\n\x88x")
    simple, (sigstore,) = directory_signatures(str(tmp_path))
    assert simple == [b"\x88x"]
    assert (sigstore.payload, sigstore.signature) == (b"payload", "c2ln")

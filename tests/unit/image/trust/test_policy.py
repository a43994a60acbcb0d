"""The policy file: strict, and the most precise scope alone counts (containers-policy.json(5))."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from carob.errors import InvalidInput
from carob.image.trust.docker_reference import parse_docker_reference, parse_prefix
from carob.image.trust.identity import IdentityRule, is_signed_as
from carob.image.trust.insecure import Insecure, parse_insecure
from carob.image.trust.policy import ACCEPT_ANYTHING, Policy, load_policy, parse_policy, policy_paths
from carob.image.trust.requirements import (
    AcceptAnything,
    NotSupported,
    Reject,
    SignedBy,
    SigstoreSigned,
)
from carob.image.trust.scopes import scopes_of

ACCEPT = [{"type": "insecureAcceptAnything"}]
REJECT = [{"type": "reject"}]
KEY = base64.b64encode(b"key").decode()
DIGEST = "sha256:" + "a" * 64


def policy(**transports: Any) -> Policy:
    return parse_policy(json.dumps({"default": REJECT, "transports": transports}).encode(), "P")


def kind(found: Policy, transport: str, scope: str) -> type:
    return type(found.requirement(transport, scope).items[0])


# --- scopes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "example.com:5000/ns/app:1",
            "example.com:5000/ns/app:1 example.com:5000/ns/app example.com:5000/ns example.com:5000 *.com",
        ),
        (
            f"a.b.test.com/app@{DIGEST}",
            f"a.b.test.com/app@{DIGEST} a.b.test.com/app a.b.test.com *.b.test.com *.test.com *.com",
        ),
        (
            "busybox:1",
            "docker.io/library/busybox:1 docker.io/library/busybox docker.io/library docker.io *.io",
        ),
        ("localhost/app:1", "localhost/app:1 localhost/app localhost"),
    ],
)
def test_scopes_of_registries_go_from_tag_to_wildcard(name: str, expected: str) -> None:
    assert scopes_of("docker", name) == expected.split()


def test_scopes_of_paths_go_upwards_but_not_to_the_root() -> None:
    assert scopes_of("oci", "/srv/images/app") == ["/srv/images/app", "/srv/images", "/srv"]
    assert scopes_of("docker-archive", "/srv/x.tar") == []
    with pytest.raises(InvalidInput):
        scopes_of("oci", "relative")


def test_the_most_precise_scope_alone_counts() -> None:
    found = policy(
        docker={
            "": REJECT,
            "example.com": REJECT,
            "example.com/ns": ACCEPT,
            "example.com/ns/app": REJECT,
            "example.com/ns/app:good": ACCEPT,
            "*.example.org": ACCEPT,
            "bad.example.org": REJECT,
        }
    )
    for name, expected in {
        "example.com/ns/app:good": AcceptAnything,
        "example.com/ns/app:bad": Reject,
        f"example.com/ns/app@{DIGEST}": Reject,
        "example.com/ns/other:1": AcceptAnything,
        "example.com/ns2/x:1": Reject,
        "example.comx/ns/other:1": Reject,
        "good.example.org/x:1": AcceptAnything,
        "deep.good.example.org:1234/x:1": AcceptAnything,
        "bad.example.org/x:1": Reject,
        "example.org/x:1": Reject,
        "elsewhere.net/x:1": Reject,
    }.items():
        assert kind(found, "docker", name) is expected, name


def test_a_port_belongs_to_the_host() -> None:
    found = policy(docker={"example.com": ACCEPT, "example.com:5000": REJECT, "": REJECT})
    assert kind(found, "docker", "example.com/x:1") is AcceptAnything
    assert kind(found, "docker", "example.com:5000/x:1") is Reject
    assert kind(found, "docker", "example.com:6000/x:1") is Reject


def test_other_transports_have_their_own_scopes_and_the_default() -> None:
    found = policy(docker={"": ACCEPT}, oci={"/srv/good": ACCEPT, "/srv/good/bad": REJECT})
    assert kind(found, "oci", "/srv/good/app") is AcceptAnything
    assert kind(found, "oci", "/srv/good/bad/app") is Reject
    assert kind(found, "oci", "/srv/goodies") is Reject
    assert kind(found, "dir", "/srv/good") is Reject
    assert kind(policy(**{"docker-archive": {"": ACCEPT}}), "docker-archive", "/x") is AcceptAnything


# --- what is no policy --------------------------------------------------------------------------------

SIGNED = {"type": "signedBy", "keyType": "GPGKeys", "keyData": KEY}


def document(requirement: Any) -> Any:
    return {"default": REJECT, "transports": {"docker": {"example.com": [requirement]}}}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([], "not an object"),
        ({}, "'default'"),
        ({"default": []}, "default"),
        ({"default": {}}, "default"),
        ({"default": REJECT, "other": 1}, "unknown key 'other'"),
        ({"default": REJECT, "transports": []}, "transports"),
        ({"default": REJECT, "transports": {"docker": []}}, "transports.docker"),
        ({"default": REJECT, "transports": {"oci": {"relative": ACCEPT}}}, "transports.oci"),
        ({"default": REJECT, "transports": {"oci": {"/": ACCEPT}}}, "transports.oci"),
        ({"default": REJECT, "transports": {"oci": {"/a/../b": ACCEPT}}}, "transports.oci"),
        ({"default": REJECT, "transports": {"docker-archive": {"/x": ACCEPT}}}, "docker-archive"),
        ({"default": [{"type": "acceptAnything"}]}, "unknown type 'acceptAnything'"),
        ({"default": [{"type": "reject", "why": ""}]}, "unknown key 'why'"),
        ({"default": [{}]}, "'type'"),
        ({"default": [None]}, "default[0]"),
        ({"default": [{"type": ["reject"]}]}, "'type'"),
        (document({"type": "signedBy"}), "'keyType'"),
        (document({**SIGNED, "keyType": "Other"}), "unknown keyType 'Other'"),
        (document({"type": "signedBy", "keyType": "GPGKeys"}), "exactly one of keyPath"),
        (document({**SIGNED, "keyPath": "/x"}), "exactly one of keyPath"),
        (document({**SIGNED, "keyData": "!"}), "keyData: not base64"),
        (document({**SIGNED, "keyData": ""}), "keyData"),
        (document({**SIGNED, "keyData": 1}), "'keyData'"),
        (document({**SIGNED, "keyDatas": [KEY]}), "unknown key 'keyDatas'"),
        (document({**SIGNED, "keydata": KEY}), "unknown key 'keydata'"),
        (document({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "x"}), "not an absolute path"),
        (document({"type": "signedBy", "keyType": "GPGKeys", "keyPaths": []}), "'keyPaths'"),
        (document({**SIGNED, "signedIdentity": {"type": "any"}}), "signedIdentity: unknown type 'any'"),
        (document({**SIGNED, "signedIdentity": {"type": "matchExact", "x": 1}}), "unknown key 'x'"),
        (document({**SIGNED, "signedIdentity": {"type": "exactReference"}}), "'dockerReference'"),
        (
            document({**SIGNED, "signedIdentity": {"type": "exactReference", "dockerReference": "a.b/c"}}),
            "neither tag nor digest",
        ),
        (
            document({**SIGNED, "signedIdentity": {"type": "exactRepository", "dockerRepository": "A B"}}),
            "signedIdentity",
        ),
        (
            document(
                {
                    **SIGNED,
                    "signedIdentity": {"type": "remapIdentity", "prefix": "short", "signedPrefix": "a.b"},
                }
            ),
            "signedIdentity",
        ),
        (document({"type": "sigstoreSigned"}), "exactly one of keyPath"),
        (document({"type": "sigstoreSigned", "keyData": KEY, "fulcio": {}}), "exactly one of"),
        (document({"type": "sigstoreSigned", "pki": {"x": 1}}), "unknown key 'x'"),
        (document({"type": "sigstoreSigned", "fulcio": []}), "fulcio"),
    ],
)
def test_what_is_not_understood_refuses_the_whole_file_by_name(content: Any, named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_policy(json.dumps(content).encode(), "/etc/policy.json")
    assert caught.value.message.startswith("/etc/policy.json: ")
    assert named in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{",
        b'{"default": [{"type":"reject"}], "default": [{"type":"insecureAcceptAnything"}]}',
        b'{"default": [{"type":"insecureAcceptAnything", "type":"reject"}]}',
        b'{"default": [{"type":"reject"}]} x',
        b'{"default": [{"type":"reject"}], "transports": NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_json_or_says_things_twice_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^P: "):
        parse_policy(data, "P")


def test_requirements_are_read_as_they_are_meant() -> None:
    found = policy(
        docker={
            "a.b/simple": [
                {"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/k1", "/k2"]},
                {"type": "sigstoreSigned", "keyDatas": [KEY, KEY]},
            ]
        }
    )
    simple, sigstore = found.requirement("docker", "a.b/simple:1").items
    assert isinstance(simple, SignedBy)
    assert [key.path for key in simple.keys] == ["/k1", "/k2"]
    assert simple.identity.kind == "matchRepoDigestOrExact"
    assert isinstance(sigstore, SigstoreSigned)
    assert [key.data for key in sigstore.keys] == [b"key", b"key"]


@pytest.mark.parametrize(
    "requirement",
    [
        {"type": "sigstoreSigned", "fulcio": {"caPath": "/x", "oidcIssuer": "i", "subjectEmail": "e"}},
        {"type": "sigstoreSigned", "pki": {"caRootsPath": "/x", "subjectEmail": "e"}},
        {"type": "sigstoreSigned", "keyData": KEY, "rekorPublicKeyPath": "/x"},
        {"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}},
        {"type": "signedBy", "keyType": "X509Certificates", "keyData": KEY},
    ],
)
def test_what_carob_cannot_check_is_kept_as_such(requirement: Any) -> None:
    """The rest of the file is good for other images."""
    found = parse_policy(json.dumps(document(requirement)).encode(), "P")
    (item,) = found.requirement("docker", "example.com/x:1").items
    assert isinstance(item, NotSupported)
    assert "P: transports.docker['example.com'][0]" in item.reason


# --- where it is ---------------------------------------------------------------------------------------


def test_the_first_file_counts_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    paths = [str(first), str(second)]
    assert load_policy(paths=paths) is ACCEPT_ANYTHING
    second.write_text(json.dumps({"default": REJECT}))
    assert kind(load_policy(paths=paths), "docker", "a.b/c:1") is Reject
    first.write_text(json.dumps({"default": ACCEPT}))
    assert load_policy(paths=paths).path == str(first)
    assert load_policy(str(second), paths=paths).path == str(second)
    first.write_text("broken")
    with pytest.raises(InvalidInput, match=str(first)):
        load_policy(paths=paths)


def test_a_named_policy_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no policy"):
        load_policy(str(tmp_path / "none"))
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_policy(str(tmp_path))


def test_carobs_own_files_are_before_those_of_containers_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/cfg")
    monkeypatch.setenv("HOME", "/home/u")
    assert policy_paths() == (
        "/cfg/carob/policy.json",
        "/etc/carob/policy.json",
        "/usr/lib/carob/policy.json",
        "/home/u/.config/containers/policy.json",
        "/etc/containers/policy.json",
    )


# --- names in signatures ---------------------------------------------------------------------------------

EXACT = IdentityRule("matchExact")
REPO_DIGEST = IdentityRule("matchRepoDigestOrExact")
REPOSITORY = IdentityRule("matchRepository")
REMAP = IdentityRule("remapIdentity", prefix="mirror.net/vendor", signed_prefix="vendor.com")


@pytest.mark.parametrize(
    ("rule", "image", "signed", "expected"),
    [
        (EXACT, "a.b/c:1", "a.b/c:1", True),
        (EXACT, "a.b/c:1", "a.b/c:2", False),
        (EXACT, "a.b/c:1", "a.b/c", False),
        (EXACT, f"a.b/c@{DIGEST}", "a.b/c:1", False),
        (EXACT, "busybox:1", "docker.io/library/busybox:1", True),
        (EXACT, "a.b/c:1", "", False),
        (EXACT, "a.b/c:1", "not a name", False),
        (REPO_DIGEST, "a.b/c:1", "a.b/c:1", True),
        (REPO_DIGEST, "a.b/c:1", "a.b/c:2", False),
        (REPO_DIGEST, f"a.b/c@{DIGEST}", "a.b/c:2", True),
        (REPO_DIGEST, f"a.b/c@{DIGEST}", "a.b/d:2", False),
        (REPO_DIGEST, f"a.b/c@{DIGEST}", "a.b/c", False),
        (REPO_DIGEST, f"a.b/c:1@{DIGEST}", "a.b/c:1", True),
        (REPO_DIGEST, f"a.b/c:1@{DIGEST}", "a.b/c:2", False),
        (REPOSITORY, "a.b/c:1", "a.b/c:2", True),
        (REPOSITORY, "a.b/c:1", "a.b/c", True),
        (REPOSITORY, "a.b/c:1", "a.b/cc:1", False),
        (REPOSITORY, "a.b/c:1", "x.b/c:1", False),
        (REMAP, "mirror.net/vendor/app:1", "vendor.com/app:1", True),
        (REMAP, "mirror.net/vendor/app:1", "mirror.net/vendor/app:1", False),
        (REMAP, "mirror.net/vendor/app:1", "vendor.com/app:2", False),
        (REMAP, f"mirror.net/vendor/app@{DIGEST}", "vendor.com/app:2", True),
        (REMAP, "mirror.net/vendors/app:1", "mirror.net/vendors/app:1", True),
        (REMAP, "mirror.net/vendors/app:1", "vendor.com/app:1", False),
    ],
)
def test_names_are_matched_by_the_rule(rule: IdentityRule, image: str, signed: str, expected: bool) -> None:
    assert is_signed_as(rule, parse_docker_reference(image), signed) is expected


def test_an_image_without_a_name_needs_a_rule_that_says_one() -> None:
    for rule in (EXACT, REPO_DIGEST, REPOSITORY, REMAP):
        assert not is_signed_as(rule, None, "a.b/c:1")
    reference = IdentityRule("exactReference", reference=parse_docker_reference("a.b/c:1"))
    assert is_signed_as(reference, None, "a.b/c:1")
    assert not is_signed_as(reference, None, "a.b/c:2")
    assert not is_signed_as(reference, None, "a.b/c")
    repository = IdentityRule("exactRepository", reference=parse_docker_reference("a.b/c"))
    assert is_signed_as(repository, None, "a.b/c:2")
    assert is_signed_as(repository, None, "a.b/c")
    assert not is_signed_as(repository, None, "a.b/d:2")


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("user/app:1", "docker.io/user/app:1"),
        ("index.docker.io/busybox", "docker.io/library/busybox"),
        ("localhost/app", "localhost/app"),
        ("host:5000/app", "host:5000/app"),
        ("Host/app", "Host/app"),
        (f"a.b/c:1@{DIGEST}", f"a.b/c:1@{DIGEST}"),
    ],
)
def test_names_are_written_out_in_full(text: str, full: str) -> None:
    assert str(parse_docker_reference(text)) == full


@pytest.mark.parametrize(
    "text", ["", "UPPER", "a.b/", "a.b/c:", "a.b/c@sha256:1", "a.b/../c", "a b", "a.b//c"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_docker_reference(text)


def test_prefixes_are_domains_or_names_with_one() -> None:
    for text in ("docker.io", "docker.io/library", "host:5000", "localhost/x", "a.b/c/d"):
        assert parse_prefix(text) == text
    for text in ("", "short", "ns/app", "a.b/c:1", f"a.b/c@{DIGEST}", "a.b/", "/x"):
        with pytest.raises(InvalidInput):
            parse_prefix(text)


# --- what is given up on purpose -------------------------------------------------------------------------


def test_insecure_options_are_rkts_words() -> None:
    assert parse_insecure("none") == parse_insecure("") == Insecure()
    assert parse_insecure("image,http") == Insecure(image=True, http=True)
    assert parse_insecure(["tls", "pubkey"]) == Insecure(tls=True, pubkey=True)
    assert str(parse_insecure("all-fetch")) == "image,tls,http,pubkey"
    with pytest.raises(InvalidInput, match="'images'"):
        parse_insecure("image,images")

"""Signed images in a real registry, taken in by carob's pipeline, or refused."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carob import Engine
from carob.errors import Rejected
from carob.image import Store
from carob.image.fetch.fetch import fetch
from carob.image.registry.configuration import Configuration, Rule
from carob.image.registry.source import RegistrySource
from carob.image.store.platforms import host_platform
from carob.image.store.resolved import ResolvedImage
from carob.image.trust.admission import Admission
from carob.image.trust.policy import parse_policy
from carob.image.trust.signatures import Lookaside
from carob.spec.oci.descriptor import Descriptor
from carob.spec.reference import Reference, parse_reference
from tests.parts.registry import Registry
from tests.unit.image.archives import (
    directory,
    layout_of,
    member,
    put_blob,
    put_document,
    put_image,
    put_index,
    tar,
)
from tests.unit.image.trust.gpg import LONG_AGO, Gpg
from tests.unit.image.trust.test_decide import P256, CosignKey, cosign_claim
from tests.unit.image.trust.test_peers import Skopeo, signed_by

REF_NAME = "org.opencontainers.image.ref.name"
LAYER = tar(directory("etc"), member("etc/x", b"signed"))


class Setting:
    """A registry, a policy and what is trusted; ``fetch`` is the pipeline."""

    def __init__(self, registry: Registry, skopeo: Skopeo, directory: Path) -> None:
        self.registry = registry
        self.skopeo = skopeo
        self.directory = directory
        self.lookaside = directory / "lookaside"
        self.store = Store(str(directory / "data"))
        self.rule = Configuration(rules={registry.host: Rule(prefix=registry.host, insecure=True)})

    def open(self, reference: Reference) -> RegistrySource:
        return RegistrySource(reference, self.rule)

    def fetch(self, name: str, policy: dict[str, Any]) -> ResolvedImage:
        return self.fetch_from(self.open(parse_reference(name)), policy)

    def fetch_from(self, source: RegistrySource, policy: dict[str, Any]) -> ResolvedImage:
        admission = Admission(
            parse_policy(json.dumps(policy).encode(), "P"),
            lookaside=Lookaside({"": f"file://{self.lookaside}"}),
            open_registry=self.open,
        )
        try:
            return fetch(self.store, None, source, accept=admission)
        finally:
            source.close()

    def push(self, layout: Path, repository: str, tag: str, *options: str) -> str:
        """Pushes an image; the name that it has then."""
        places = self.directory / "registries.d"
        places.mkdir(exist_ok=True)
        (places / "x.yaml").write_text(f"default-docker:\n  sigstore-staging: file://{self.lookaside}\n")
        self.skopeo.ok(
            *("--insecure-policy", "--registries.d", str(places), "copy", "--quiet", "--preserve-digests"),
            *("--dest-tls-verify=false", *options),
            *(f"oci:{layout}:a", f"docker://{self.registry.host}/{repository}:{tag}"),
        )
        return f"{self.registry.host}/{repository}:{tag}"

    def attach(self, repository: str, digest: str, *signatures: tuple[bytes, str]) -> None:
        """Pushes signatures as cosign stores them (SIGNATURE_SPEC.md, "Storage")."""
        layout = self.directory / f"signatures-{repository.replace('/', '-')}"
        layers = [
            {
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "digest": put_blob(layout, payload),
                "size": len(payload),
                "annotations": {"dev.cosignproject.cosign/signature": signature},
            }
            for payload, signature in signatures
        ]
        config = {
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifest = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                **put_document(layout, config),
            },
            "layers": layers,
        }
        descriptor = {"mediaType": kind, **put_document(layout, manifest)}
        put_index(layout, {**descriptor, "annotations": {REF_NAME: "a"}})
        self.push(layout, repository, digest.replace(":", "-") + ".sig")


@pytest.fixture
def setting(registry: Registry, gpg: Gpg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return Setting(registry, Skopeo(gpg, home), tmp_path)


@pytest.fixture(scope="module")
def key(gpg: Gpg) -> str:
    return gpg.key("Publisher", algorithm="rsa2048", at=LONG_AGO)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return layout_of(tmp_path / "layout", LAYER, name="a")


def manifest_digest(layout: Path) -> str:
    found: str = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    return found


def test_an_image_that_skopeo_signed_is_taken_in(setting: Setting, layout: Path, gpg: Gpg, key: str) -> None:
    name = setting.push(layout, "simple/app", "1", f"--sign-by={key}")
    policy = {"default": [{"type": "reject"}], "transports": {"docker": {name: [signed_by(gpg.public(key))]}}}
    assert setting.fetch(name, policy).image_id == manifest_digest(layout)


def test_an_unsigned_image_is_refused_and_nothing_is_named(
    setting: Setting, layout: Path, gpg: Gpg, key: str
) -> None:
    name = setting.push(layout, "simple/unsigned", "1")
    with pytest.raises(Rejected, match="it is not signed"):
        setting.fetch(name, {"default": [signed_by(gpg.public(key))]})
    assert setting.store.list() == []


def test_a_signature_of_one_tag_does_not_let_another_in(
    setting: Setting, layout: Path, gpg: Gpg, key: str
) -> None:
    setting.push(layout, "simple/replayed", "1", f"--sign-by={key}")
    other = setting.push(layout, "simple/replayed", "2")  # the same digest, and so the same signatures
    policy = {"default": [signed_by(gpg.public(key))]}
    with pytest.raises(Rejected, match="for the name"):
        setting.fetch(other, policy)
    by_digest = other.rpartition(":")[0] + "@" + manifest_digest(layout)
    assert setting.fetch(by_digest, policy).image_id == manifest_digest(layout)


def test_a_signature_copied_to_another_repository_is_refused(
    setting: Setting, layout: Path, gpg: Gpg, key: str
) -> None:
    setting.push(layout, "simple/first", "1", f"--sign-by={key}")
    name = setting.push(layout, "simple/second", "1")
    place = f"@sha256={manifest_digest(layout).partition(':')[2]}"
    (setting.lookaside / f"simple/first{place}").rename(setting.lookaside / f"simple/second{place}")
    with pytest.raises(Rejected, match="for the name"):
        setting.fetch(name, {"default": [signed_by(gpg.public(key))]})


def requirement(cosign: CosignKey) -> dict[str, Any]:
    data = base64.b64encode(cosign.public).decode()
    return {"type": "sigstoreSigned", "keyData": data, "signedIdentity": {"type": "matchRepository"}}


def test_an_image_with_a_cosign_signature_is_taken_in(setting: Setting, layout: Path) -> None:
    cosign = CosignKey(setting.directory / "cosign", *P256)
    digest = manifest_digest(layout)
    name = setting.push(layout, "cosign/app", "1")
    policy = {"default": [requirement(cosign)]}
    with pytest.raises(Rejected, match="it is not signed"):
        setting.fetch(name, policy)
    repository = name.rpartition(":")[0]
    other = CosignKey(setting.directory / "other", *P256)
    made = [one.sign(cosign_claim(digest=digest, name=repository)) for one in (other, cosign)]
    setting.attach("cosign/app", digest, *((one.payload, one.signature) for one in made))
    assert setting.fetch(name, policy).image_id == digest


def test_a_cosign_signature_of_another_image_is_refused(setting: Setting, layout: Path) -> None:
    cosign = CosignKey(setting.directory / "cosign", *P256)
    name = setting.push(layout, "cosign/replayed", "1")
    elsewhere = cosign.sign(cosign_claim(digest="sha256:" + "d" * 64, name=name.rpartition(":")[0]))
    setting.attach("cosign/replayed", manifest_digest(layout), (elsewhere.payload, elsewhere.signature))
    with pytest.raises(Rejected, match="a signature is for sha256:d"):
        setting.fetch(name, {"default": [requirement(cosign)]})


def test_a_signature_of_the_index_lets_its_images_in(setting: Setting, tmp_path: Path) -> None:
    cosign = CosignKey(setting.directory / "cosign", *P256)
    layout = tmp_path / "index"
    image = put_image(layout, LAYER)
    config = json.loads((layout / "blobs/sha256" / str(image["digest"])[7:]).read_bytes())["config"]
    said = json.loads((layout / "blobs/sha256" / config["digest"][7:]).read_bytes())
    platform = {"architecture": said["architecture"], "os": said["os"]}
    kind = "application/vnd.oci.image.index.v1+json"
    index = {"schemaVersion": 2, "mediaType": kind, "manifests": [{**image, "platform": platform}]}
    descriptor = {"mediaType": kind, **put_document(layout, index)}
    put_index(layout, {**descriptor, "annotations": {REF_NAME: "a"}})
    name = setting.push(layout, "cosign/index", "1", "--all")
    policy = {"default": [requirement(cosign)]}
    with pytest.raises(Rejected):
        setting.fetch(name, policy)
    made = cosign.sign(cosign_claim(digest=str(descriptor["digest"]), name=name.rpartition(":")[0]))
    setting.attach("cosign/index", str(descriptor["digest"]), (made.payload, made.signature))
    assert setting.fetch(name, policy).image_id == image["digest"]


class _TwoFaced(RegistrySource):
    """A registry whose tag is another image from the second time on."""

    def __init__(self, reference: Reference, rule: Configuration, later: RegistrySource) -> None:
        super().__init__(reference, rule)
        self._later = later
        self._is_asked = False

    def root(self) -> tuple[Descriptor, bytes]:
        if self._is_asked:
            return self._later.root()
        self._is_asked = True
        return super().root()


def test_the_index_that_is_checked_is_the_one_that_was_chosen_from(setting: Setting, tmp_path: Path) -> None:
    cosign = CosignKey(setting.directory / "cosign", *P256)
    digests, names = [], []
    for tag, content in (("signed", b"good"), ("evil", b"evil")):
        layout = tmp_path / tag
        image = put_image(layout, tar(member("x", content)))
        kind = "application/vnd.oci.image.index.v1+json"
        host = host_platform()
        manifests = [{**image, "platform": {"architecture": host.architecture, "os": host.os}}]
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": manifests}
        descriptor = {"mediaType": kind, **put_document(layout, index)}
        put_index(layout, {**descriptor, "annotations": {REF_NAME: "a"}})
        names.append(setting.push(layout, "cosign/faces", tag, "--all"))
        digests.append(str(descriptor["digest"]))
    made = cosign.sign(cosign_claim(digest=digests[0], name=names[0].rpartition(":")[0]))
    setting.attach("cosign/faces", digests[0], (made.payload, made.signature))
    policy = {"default": [requirement(cosign)]}
    signed = setting.open(parse_reference(names[0]))
    with pytest.raises(Rejected):
        setting.fetch_from(_TwoFaced(parse_reference(names[1]), setting.rule, signed), policy)
    signed.close()
    assert setting.store.list() == []
    assert setting.fetch(names[0], policy)


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *words: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def site(setting: Setting) -> Iterator[str]:
    """The URL of a web site with the signatures of the lookaside directory."""
    handler = functools.partial(_Silent, directory=str(setting.directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_registries_d_says_where_signatures_are_to_carob_as_to_skopeo(
    setting: Setting, layout: Path, gpg: Gpg, key: str, site: str
) -> None:
    name = setting.push(layout, "places/app", "1", f"--sign-by={key}")
    home = setting.directory / "home"
    for place in (".config/carob", ".config/containers/registries.d"):
        (home / place).mkdir(parents=True)
    policy = home / ".config/carob/policy.json"
    policy.write_text(json.dumps({"default": [signed_by(gpg.public(key))]}))
    host, there = setting.registry.host, "lookaside"
    places = home / ".config/containers/registries.d"
    for number, (text, is_found) in enumerate(
        (
            ("", False),
            (f"default-docker:\n  sigstore: {site}/{there}\n", True),
            (f"default-docker:\n  lookaside: file://{setting.lookaside}\n", True),
            (f"docker:\n  {host}/places:\n    lookaside: {site}/{there}\n    sigstore: {site}/x\n", True),
            (f"docker:\n  {host}/places:\n    lookaside: {site}/nothing\n", False),
            (
                f"docker:\n  {host}:\n    lookaside: {site}/x\n  {name}:\n    sigstore: '{site}/{there}'\n",
                True,
            ),
            (f"default-docker:\n  lookaside-staging: file://{setting.lookaside}\n", False),
        )
    ):
        (places / "x.yaml").write_text(text)
        target = f"dir:{setting.directory}/copy{number}"
        copied = setting.skopeo.run(
            *("--policy", str(policy), "copy", "--quiet", "--src-tls-verify=false"),
            f"docker://{name}",
            target,
        )
        assert (copied.returncode == 0) is is_found, copied.stderr
        taken = Engine(setting.directory / f"data{number}").images
        if is_found:
            taken.fetch(name, unpack=False)
        else:
            with pytest.raises(Rejected, match="not signed"):
                taken.fetch(name, unpack=False)

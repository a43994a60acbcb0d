"""OCI image layouts (image-spec v1.1, image-layout.md), read and written without asking carob."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

Descriptor = dict[str, Any]

REF_NAME = "org.opencontainers.image.ref.name"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
GZIP_LAYER = LAYER + "+gzip"
ZSTD_LAYER = LAYER + "+zstd"
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
}
_CHUNK = 1 << 20


def architecture() -> str:
    """This machine's, in Go's words."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


class LayoutImage:
    """What one tag of a layout names: an image, or an index of images."""

    def __init__(self, path: Path, tag: str) -> None:
        self.path, self.tag = path, tag

    @property
    def oci(self) -> str:
        """As skopeo and carob name it."""
        return f"oci:{self.path}:{self.tag}"

    @property
    def umoci(self) -> str:
        """As umoci names it."""
        return f"{self.path}:{self.tag}"

    @property
    def descriptor(self) -> Descriptor:
        """Its entry of ``index.json``."""
        entries: list[Descriptor] = json.loads((self.path / "index.json").read_bytes())["manifests"]
        (found,) = [entry for entry in entries if entry.get("annotations", {}).get(REF_NAME) == self.tag]
        return found

    def document(self) -> dict[str, Any]:
        """The topmost document, a manifest or an index."""
        return self.read(self.descriptor)

    def manifest(self) -> dict[str, Any]:
        """The manifest; of an index the first one's."""
        document = self.document()
        return self.read(document["manifests"][0]) if "manifests" in document else document

    def layers(self) -> list[Descriptor]:
        """The descriptors of the layers, bottom first."""
        found: list[Descriptor] = self.manifest()["layers"]
        return found

    def configuration(self) -> dict[str, Any]:
        """The image's configuration."""
        return self.read(self.manifest()["config"])

    def read(self, descriptor: Descriptor) -> dict[str, Any]:
        """A document of this layout."""
        document = json.loads(self.blob(descriptor["digest"]).read_bytes())
        assert isinstance(document, dict)
        return document

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        algorithm, _, hexadecimal = digest.partition(":")
        return self.path / "blobs" / algorithm / hexadecimal


class LayoutWriter:
    """Writes the layout ``path``. The methods return descriptors; ``save`` makes the tagged ones known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._blobs = path / "blobs/sha256"
        self._blobs.mkdir(parents=True)
        self._tagged: list[Descriptor] = []

    def blob(self, data: bytes, media_type: str) -> Descriptor:
        """Store bytes."""
        hexadecimal = hashlib.sha256(data).hexdigest()
        (self._blobs / hexadecimal).write_bytes(data)
        return {"mediaType": media_type, "digest": "sha256:" + hexadecimal, "size": len(data)}

    def file(self, path: Path, media_type: str) -> Descriptor:
        """Store a file of the same file system by a hard link: it must not be changed afterwards."""
        hashing = hashlib.sha256()
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                hashing.update(chunk)
        target = self._blobs / hashing.hexdigest()
        if not target.exists():
            os.link(path, target)
        digest = "sha256:" + hashing.hexdigest()
        return {"mediaType": media_type, "digest": digest, "size": path.stat().st_size}

    def document(self, document: dict[str, Any], media_type: str) -> Descriptor:
        """Store a JSON document."""
        return self.blob(json.dumps(document).encode(), media_type)

    def image(
        self,
        layers: list[Descriptor],
        *,
        diff_ids: list[str] | None = None,
        tag: str | None = None,
        config: dict[str, Any] | None = None,
        platform: dict[str, str] | None = None,
    ) -> Descriptor:
        """An image of layers that are in this layout. Diff ids must be given where layers are compressed."""
        if diff_ids is None:
            assert all(layer["mediaType"] == LAYER for layer in layers), "diff ids of compressed layers"
            diff_ids = [layer["digest"] for layer in layers]
        configuration: dict[str, Any] = {
            "created": "2024-01-02T03:04:05Z",
            **(platform or {"os": "linux", "architecture": architecture()}),
            "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], **(config or {})},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": f"layer {number}"} for number in range(1, len(layers) + 1)],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.document(configuration, CONFIG),
            "layers": layers,
        }
        return self._named(self.document(manifest, MANIFEST), tag)

    def index(self, descriptors: list[Descriptor], *, tag: str | None = None) -> Descriptor:
        """An index of images, or of indexes, that are in this layout."""
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}
        return self._named(self.document(document, INDEX), tag)

    def _named(self, descriptor: Descriptor, tag: str | None) -> Descriptor:
        if tag is not None:
            self._tagged.append({**descriptor, "annotations": {REF_NAME: tag}})
        return descriptor

    def save(self) -> None:
        """Write the two files that make it a layout."""
        (self.path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self._tagged}
        (self.path / "index.json").write_text(json.dumps(document))

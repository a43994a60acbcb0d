"""ACIs made with the standard library, and appc manifests as plain values."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from tests.unit.image.archives import directory, member, tar

Member = tuple[tarfile.TarInfo, bytes | None]


def manifest(name: str = "example.com/app", **fields: object) -> dict[str, object]:
    """A valid image manifest; ``labels`` may be a mapping."""
    labels = fields.pop("labels", {"version": "1.0.0", "os": "linux", "arch": "amd64"})
    assert isinstance(labels, dict)
    return {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": name,
        "labels": [{"name": key, "value": value} for key, value in labels.items()],
        **fields,
    }


def app(*words: str, **fields: object) -> dict[str, object]:
    return {"exec": list(words), "user": "0", "group": "0", **fields}


def aci(document: object, *members: Member, root: bool = True) -> bytes:
    """The bytes of a plain ACI: the manifest, ``rootfs`` and what is below, with ``rootfs/`` in its names."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    top = [directory("rootfs")] if root else []
    return tar(member("manifest", data), *top, *members)


def file(path: str, content: bytes = b"", **attributes: object) -> Member:
    return member(f"rootfs/{path}", content, **attributes)


def folder(path: str, **attributes: object) -> Member:
    return directory(f"rootfs/{path}", **attributes)


def image_id(data: bytes) -> str:
    """The id of a plain ACI."""
    return "sha512-" + hashlib.sha512(data).hexdigest()


def written(path: Path, data: bytes, signature: bytes = b"") -> Path:
    path.write_bytes(data)
    if signature:
        path.with_name(path.name + ".asc").write_bytes(signature)
    return path

"""What the tests of images are made of: archives of the standard library, layouts, trees as values."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from pathlib import Path

REF_NAME = "org.opencontainers.image.ref.name"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def member(
    name: str, content: bytes | None = b"", **attributes: object
) -> tuple[tarfile.TarInfo, bytes | None]:
    """One member; a file unless ``type`` says otherwise."""
    info = tarfile.TarInfo(name)
    info.size = len(content or b"")
    info.mode = 0o644
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def directory(name: str, **attributes: object) -> tuple[tarfile.TarInfo, bytes | None]:
    return member(name, None, **{"type": tarfile.DIRTYPE, "mode": 0o755, **attributes})


def symlink(name: str, target: str, **attributes: object) -> tuple[tarfile.TarInfo, bytes | None]:
    return member(name, None, type=tarfile.SYMTYPE, linkname=target, **{"mode": 0o777, **attributes})


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes | None]:
    return member(name, None, type=tarfile.LNKTYPE, linkname=target)


def device(name: str, major: int, minor: int, **attributes: object) -> tuple[tarfile.TarInfo, bytes | None]:
    return member(name, None, type=tarfile.CHRTYPE, devmajor=major, devminor=minor, **attributes)


def tar(*members: tuple[tarfile.TarInfo, bytes | None], format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002
    """The bytes of an uncompressed archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for info, content in members:
            archive.addfile(info, None if content is None else io.BytesIO(content))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def put_blob(layout: Path, data: bytes) -> str:
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
    return digest(data)


def put_document(layout: Path, document: object) -> dict[str, object]:
    """Stores a JSON document and returns its descriptor, without a media type."""
    data = json.dumps(document).encode()
    return {"digest": put_blob(layout, data), "size": len(data)}


def put_image(
    layout: Path,
    *layers: bytes,
    diff_ids: list[str] | None = None,
    compress: bool = True,
    architecture: str = "",
) -> dict[str, object]:
    """Stores an image of uncompressed ``layers`` and returns its manifest's descriptor."""
    if not architecture:
        architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    descriptors = []
    for layer in layers:
        blob = gzip.compress(layer, mtime=0) if compress else layer
        media_type = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compress else "")
        descriptors.append({"mediaType": media_type, "digest": put_blob(layout, blob), "size": len(blob)})
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest(layer) for layer in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **put_document(layout, config)},
        "layers": descriptors,
    }
    return {"mediaType": MANIFEST, **put_document(layout, manifest)}


def put_index(layout: Path, *manifests: object) -> Path:
    """Writes the two files of a layout; ``manifests`` are the entries of its index."""
    layout.mkdir(parents=True, exist_ok=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": list(manifests)}))
    return layout


def layout_of(path: Path, *layers: bytes, name: str = "app:1", **options: object) -> Path:
    """A layout of one image made of uncompressed ``layers``."""
    path.mkdir(parents=True, exist_ok=True)
    descriptor = put_image(path, *layers, **options)  # type: ignore[arg-type]
    return put_index(path, {**descriptor, "annotations": {REF_NAME: name}})


def snapshot(root: str | os.PathLike[str], *, times: bool = True) -> dict[str, tuple[object, ...]]:
    """All there is to know of a tree: type and mode, owner, device, size, time, link, content, attributes.

    Hard links show as the name of the first of them.
    """
    found: dict[str, tuple[object, ...]] = {}
    first: dict[int, str] = {}
    top = os.fspath(root)
    paths = [top]
    for parent, directories, files in os.walk(top):
        paths += [os.path.join(parent, name) for name in directories + files]
    for path in sorted(paths):
        status = os.lstat(path)
        name = os.path.relpath(path, top)
        is_directory = stat.S_ISDIR(status.st_mode)
        content: object = None
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        found[name] = (
            oct(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_rdev,
            None if is_directory else status.st_size,
            status.st_mtime_ns if times else None,
            None if is_directory else first.setdefault(status.st_ino, name),
            content,
            tuple(
                (key, os.getxattr(path, key, follow_symlinks=False))
                for key in sorted(os.listxattr(path, follow_symlinks=False))
                if not key.startswith(("trusted.overlay.", "security.selinux"))
            ),
        )
    return found

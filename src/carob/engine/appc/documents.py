"""The appc documents of a pod made from OCI images: what rkt's tools read of it. Pure.

They are written as plain values: every name in them was checked before. ``carob/`` annotations keep
what appc has no word for.
"""

from __future__ import annotations

from carob.protocol.compact_json import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from carob.engine.request.mounts import File, Mount
    from carob.runtime.bundle import Process

AC_VERSION = "0.8.11"
IMAGE_DIGEST = "carob/image-digest"
IMAGE_REFERENCE = "carob/image-reference"
POD_NAME = "carob/name"
OWNERS = "carob/owners"
NETWORK = "carob/network"
MOUNTS = "carob/mounts"
FILES = "carob/files"
# Go's names to appc's (schema/types/labels.go); appc has no word for others, so no label says it.
ARCHITECTURES = {
    "amd64": "amd64", "386": "i386", "arm64": "aarch64", "arm": "armv7l", "ppc64le": "ppc64le",
    "s390x": "s390x",
}  # fmt: skip
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_SEPARATORS = "-._~/"


def image_hash(image_id: str) -> str:
    """An appc image id for an OCI image: appc knows SHA-512 only, so the digest is hashed once more."""
    return "sha512-" + _sha512(image_id.encode())[:64]


def _sha512(data: bytes) -> str:
    """The digest in hexadecimal, by Python's own code: to load OpenSSL's takes 4 to 6 ms."""
    try:
        from _sha2 import sha512  # Python 3.12 and later
    except ImportError:
        from _sha512 import sha512
    digest: str = sha512(data).hexdigest()
    return digest


def identifier(name: str) -> str:
    """An image's name as an AC Identifier (appc, types.md)."""
    made = ""
    for letter in name.lower().partition("@")[0]:
        if letter in _LETTERS:
            made += letter
        elif made and made[-1] in _LETTERS:  # one separator at a time, and none first
            made += letter if letter in _SEPARATORS else "-"
    return made.strip(_SEPARATORS) or "image"


def _is_variable(name: str) -> bool:
    """Whether appc takes the name of an environment variable (types/environment.go)."""
    return (
        bool(name)
        and name.isascii()
        and not name[0].isdigit()
        and name[0] not in ".-"
        and all(letter.isalnum() or letter in "_.-" for letter in name)
    )


def _app(process: Process, mounts: Sequence[Mount]) -> dict[str, Any]:
    app: dict[str, Any] = {
        "exec": list(process.args),
        "user": str(process.uid),
        "group": str(process.gid),
        "workingDirectory": process.cwd,
        "environment": [
            {"name": name, "value": value}
            for name, _, value in (entry.partition("=") for entry in process.env)
            if _is_variable(name)
        ],
    }
    if process.groups:
        app["supplementaryGIDs"] = list(process.groups)
    if mounts:
        app["mountPoints"] = [
            {"name": f"mount-{number}", "path": mount.target, "readOnly": mount.read_only}
            for number, mount in enumerate(mounts)
        ]
    return app


def image_manifest(name: str, image: Mapping[str, Any], process: Process) -> bytes:
    """``appsinfo/<app>/manifest``: the image's manifest in appc's terms."""
    labels = [{"name": "os", "value": "linux"}]
    architecture = ARCHITECTURES.get(str(image.get("architecture")))
    if architecture is not None:
        labels.append({"name": "arch", "value": architecture})
    document = {
        "acKind": "ImageManifest",
        "acVersion": AC_VERSION,
        "name": identifier(name),
        "labels": labels,
        "app": _app(process, ()),
    }
    return _json(document)


def appc_image(image_name: str, image_id: str) -> dict[str, Any]:
    """How appc calls an OCI image."""
    return {"name": identifier(image_name), "id": image_hash(image_id)}


def runtime_app(
    name: str,
    image_name: str,
    image_id: str,
    process: Process,
    mounts: Sequence[Mount],
    files: Sequence[File] = (),
    *,
    appc: dict[str, Any] | None = None,
    noted: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One entry of the pod manifest's ``apps``; ``appc`` is how an appc image calls itself.

    ``noted`` are more annotations.
    """
    volumes: list[str] = []
    annotations = [{"name": key, "value": value} for key, value in (noted or {}).items()]
    if mounts or files:
        from carob.engine.appc import mounts as mount_documents

        volumes = [mount_documents.volume_name(name, *one) for one in enumerate(mounts)]
        annotations += mount_documents.app_annotations(mounts, files)
    return {
        "name": name,
        "image": appc or appc_image(image_name, image_id),
        "app": _app(process, mounts),
        "mounts": [
            {"volume": volume, "path": mount.target} for volume, mount in zip(volumes, mounts, strict=True)
        ],
        "annotations": [
            {"name": IMAGE_DIGEST, "value": image_id},
            {"name": IMAGE_REFERENCE, "value": image_name},
            *annotations,
        ],
    }


def pod_manifest(
    apps: Sequence[dict[str, Any]],
    volumes: Sequence[dict[str, Any]],
    annotations: Mapping[str, str],
    isolators: Sequence[dict[str, Any]] = (),
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """The file ``pod``; ``more`` are other keys of it."""
    document = {
        "acVersion": AC_VERSION,
        "acKind": "PodManifest",
        "apps": list(apps),
        "volumes": list(volumes),
        "isolators": list(isolators),
        "annotations": [{"name": name, "value": value} for name, value in annotations.items()],
        "ports": [],
        **(more or {}),
    }
    return _json(document)


def _json(document: dict[str, Any]) -> bytes:
    return dumps(document).encode()

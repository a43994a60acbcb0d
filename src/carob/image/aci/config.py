"""From an appc image manifest to an OCI configuration and manifest, and back to the original text. Pure.

======================  =================================================================================
appc                    OCI
======================  =================================================================================
``exec``                ``Entrypoint``, so that arguments given to ``run`` follow it; split into
                        ``Entrypoint`` and ``Cmd`` where docker2aci noted which is which
``user``, ``group``     ``User``, ``user:group``; a file's path becomes its owner
``workingDirectory``    ``WorkingDir``
``environment``         ``Env``
``ports``               ``ExposedPorts``
``mountPoints``         ``Volumes``
``userLabels``          ``Labels``
``os``, ``arch``        ``os``, ``architecture``, ``variant``; this host's where they are not said
``created``, authors    ``created``, ``author``
other annotations       annotations of the manifest
======================  =================================================================================

What OCI has no word for (event handlers, isolators, supplementary groups) is in the original only; of that,
isolators and groups are read there when an app of the image is prepared.
"""

from __future__ import annotations

import base64

from carob.errors import CorruptData, NotFound
from carob.spec.appc.image import ImageManifest
from carob.spec.appc.platform import platform_of_labels
from carob.spec.oci.document import map_field, parse_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from carob.spec.appc.app import App
    from carob.spec.oci.descriptor import Platform

APPC_MANIFEST = "carob/appc-manifest"
"""The annotation of a manifest that keeps the appc manifest: its exact bytes in base64."""

APPC_IMAGE_ID = "carob/appc-image-id"
"""The annotation that keeps ``sha512-<hex>``. A claim, as all of an image's annotations: see ``records``."""

_ANNOTATIONS = {
    "authors": "org.opencontainers.image.authors",
    "created": "org.opencontainers.image.created",
    "documentation": "org.opencontainers.image.documentation",
    "homepage": "org.opencontainers.image.url",
}
APPLIED_ISOLATORS = (
    "os/linux/capabilities-remove-set", "os/linux/capabilities-retain-set", "os/linux/cpu-shares",
    "os/linux/no-new-privileges", "os/linux/oom-score-adj", "os/linux/seccomp-remove-set",
    "os/linux/seccomp-retain-set", "os/linux/selinux-context", "resource/cpu", "resource/memory",
)  # fmt: skip
"""What is read in the original when an app of the image is prepared (``carob.engine.prepare.of_image``)."""

_PROTOCOLS = ("tcp", "udp", "sctp")
_ENTRYPOINT = "appc.io/docker/entrypoint"
_COMMAND = "appc.io/docker/cmd"


def oci_config(
    manifest: ImageManifest,
    *,
    diff_ids: Sequence[str],
    history: Sequence[str],
    host: Platform,
    user: str,
) -> dict[str, Any]:
    """The configuration. ``history`` says of each layer what it was made of; ``user`` is ``user:group`` or
    ``""`` (see ``user_of``).
    """
    labels = manifest.labels.to_map()
    noted = manifest.annotations.to_map()
    platform = platform_of_labels(labels, host)
    document: dict[str, Any] = {}
    if "created" in noted:
        document["created"] = noted["created"]
    if "authors" in noted:
        document["author"] = noted["authors"]
    document["architecture"] = platform.architecture
    document["os"] = platform.os
    if platform.variant:
        document["variant"] = platform.variant
    document["config"] = _inner(manifest.app, noted, user) if manifest.app is not None else {}
    document["rootfs"] = {"type": "layers", "diff_ids": list(diff_ids)}
    document["history"] = [{"created_by": made_of} for made_of in history]
    return document


def _inner(app: App, noted: dict[str, str], user: str) -> dict[str, Any]:
    inner: dict[str, Any] = {"User": user}
    if app.exec:
        inner["Entrypoint"], inner["Cmd"] = _command(app, noted)
    if app.working_directory:
        inner["WorkingDir"] = app.working_directory
    if app.environment:
        inner["Env"] = [f"{one.name}={one.value}" for one in app.environment]
    inner["ExposedPorts"] = _ports(app)
    if app.mount_points:
        inner["Volumes"] = {point.path: {} for point in app.mount_points}
    if app.user_labels:
        inner["Labels"] = dict(app.user_labels)
    return {key: value for key, value in inner.items() if value}


def _ports(app: App) -> dict[str, dict[str, str]]:
    """Every port by its number, up to as many as there are."""
    found: dict[str, dict[str, str]] = {}
    room = 65536
    for port in app.ports:
        last = min(port.port + min(max(port.count, 1), room), 65536)
        if port.protocol in _PROTOCOLS:
            room -= max(last - port.port, 0)
            found.update((f"{number}/{port.protocol}", {}) for number in range(port.port, last))
    return found


def _command(app: App, noted: dict[str, str]) -> tuple[list[str], list[str]]:
    """Entry point and default arguments: as docker2aci noted them, if they are what is run."""
    words = [str(word) for word in app.exec]
    entrypoint, command = (_words(noted.get(name, "")) for name in (_ENTRYPOINT, _COMMAND))
    if entrypoint + command == words:
        return entrypoint, command
    return words, []


def _words(text: str) -> list[str]:
    """A JSON list of strings, or nothing."""
    import json

    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return []
    return words


def asked_paths(app: App | None) -> list[bytes]:
    """The files whose owners ``user`` and ``group`` name, as paths below the root."""
    accounts = () if app is None else (app.user, app.group)
    return [_path(account) for account in accounts if account.startswith("/")]


def _path(account: str) -> bytes:
    import posixpath

    return posixpath.normpath(account).strip("/").encode("utf-8", "surrogateescape")


def user_of(app: App | None, owners: dict[bytes, tuple[int, int]]) -> str:
    """``user:group``; ``owners`` has (uid, gid) of each asked path that the image has.

    ``NotFound`` where a path is not in the image.
    """
    if app is None:
        return ""
    found = []
    for position, account in enumerate((app.user, app.group)):
        if account.startswith("/"):
            owner = owners.get(_path(account))
            if owner is None:
                raise NotFound(f"its app runs as the owner of {account!r}, a file that it does not have")
            found.append(str(owner[position]))
        else:
            found.append(str(account))
    return ":".join(found)


def left_out(manifest: ImageManifest) -> list[str]:
    """What the app section asks for that the OCI image does not carry, by its keys."""
    app = manifest.app
    if app is None:
        return []
    found = ["eventHandlers"] if app.event_handlers else []
    found += sorted({f"isolators[{one.name}]" for one in app.isolators if one.name not in APPLIED_ISOLATORS})
    if any(port.socket_activated for port in app.ports):
        found.append("ports.socketActivated")
    return found


def oci_annotations(manifest: ImageManifest, manifest_bytes: bytes, image_id: str) -> dict[str, str]:
    """The annotations of the OCI manifest."""
    found = {_ANNOTATIONS.get(name, name): value for name, value in manifest.annotations.to_map().items()}
    version = manifest.labels.get("version")
    if version is not None:
        found["org.opencontainers.image.version"] = version
    found["org.opencontainers.image.title"] = str(manifest.name)
    found[APPC_IMAGE_ID] = image_id
    found[APPC_MANIFEST] = base64.b64encode(manifest_bytes).decode()
    return {name: value for name, value in found.items() if "\0" not in value}


def appc_manifest(oci_manifest: bytes, what: str) -> bytes:
    """The appc manifest that an OCI manifest keeps, valid at least; ``NotFound`` where it keeps none."""
    kept = map_field(parse_document(oci_manifest, what), "annotations", what).get(APPC_MANIFEST)
    if not isinstance(kept, str):
        raise NotFound(f"{what} was not made from an appc image")
    try:
        data = base64.b64decode(kept, validate=True)
        ImageManifest.from_json(data)
    except ValueError as error:  # InvalidInput as well
        raise CorruptData(f"{what}: its appc manifest is broken") from error
    return data

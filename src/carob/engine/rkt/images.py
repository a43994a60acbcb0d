"""Images as rkt's API tells of them: what ``rkt/api_service.go`` (rkt 1.30) says of an ACI, of any image."""

from __future__ import annotations

import os

from carob.engine.appc.documents import AC_VERSION, ARCHITECTURES, identifier, image_hash
from carob.engine.failures import Attempt, is_shortage
from carob.engine.rkt.names import LATEST, name_and_version
from carob.errors import CarobError, InvalidInput, NotFound
from carob.image.aci.config import appc_manifest
from carob.image.aci.records import read_record
from carob.image.store.layout import Layout
from carob.image.store.listing import named_manifests
from carob.image.store.resolve import find_image, load_image, read_manifest
from carob.protocol.compact_json import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from carob.image.aci.records import Record
    from carob.image.store.resolved import ResolvedImage
    from carob.spec.oci.descriptor import Descriptor

_APPC_IMAGE_ID = "sha512-"


class RktImage:
    """One image under one of its names; an image with two is there twice, with one ``image_id``, appc's.

    ``is_appc`` says that it was an ACI. ``imported_s`` is when its manifest came into the store, in seconds
    since 1970; ``size_bytes`` what its blobs take. ``manifest`` is appc's, JSON.
    """

    __slots__ = (
        "annotations", "image_id", "imported_s", "is_appc", "labels", "manifest", "name", "size_bytes",
        "version",
    )  # fmt: skip

    def __init__(self, image_id: str, name: str, version: str, *, is_appc: bool) -> None:
        self.image_id = image_id
        self.name = name
        self.version = version
        self.is_appc = is_appc
        self.imported_s = 0
        self.size_bytes = 0
        self.manifest = b""
        self.annotations: tuple[tuple[str, str], ...] = ()
        self.labels: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"RktImage({self.name!r}, {self.version!r}, {self.image_id!r})"


def each(data_dir: str) -> Iterator[RktImage]:
    """Every image under every name, in order of names. One that cannot be read is left out."""
    layout = Layout(f"{data_dir}/images")
    with Attempt("the images cannot be listed"):
        named, _ = named_manifests(layout)
        for descriptor, names in sorted(named, key=lambda one: (one[1], one[0].digest)):
            try:
                found = _read(data_dir, layout, descriptor, names)
            except (CarobError, OSError) as error:
                if is_shortage(error):
                    raise
                continue  # damaged, or removed since it was listed: an image's trouble stays with it
            yield from found


def one(data_dir: str, image_id: str) -> RktImage:
    """The image with this id: appc's whole ``sha512-<hex>``, or a name or id as the engine takes them.

    Raises ``NotFound``, ``InvalidInput``.
    """
    layout = Layout(f"{data_dir}/images")
    with Attempt("the image cannot be looked at"):
        if not image_id:
            raise InvalidInput("no image is asked for: its id is empty")
        if not image_id.startswith(_APPC_IMAGE_ID):
            name, descriptor = find_image(layout, image_id)
            return _read(data_dir, layout, descriptor, () if name == descriptor.digest else (name,))[0]
        named, _ = named_manifests(layout)
        for descriptor, names in named:
            if _appc_id(read_record(data_dir, descriptor.digest), descriptor.digest) == image_id:
                return _read(data_dir, layout, descriptor, names)[0]
        raise NotFound(f"there is no image with the id {image_id[:200]}")


def names_by_id(data_dir: str) -> dict[str, tuple[str, float]]:
    """The first name and the time of import, in seconds since 1970, of each image, by appc's id: little
    enough to be asked for again and again.
    """
    layout = Layout(f"{data_dir}/images")
    found = {}
    with Attempt("the images cannot be listed"):
        for descriptor, names in named_manifests(layout)[0]:
            record = read_record(data_dir, descriptor.digest)
            name = record.name if record else name_and_version(names[0])[0] if names else ""
            try:
                imported_s = os.stat(layout.blob_path(descriptor.digest)).st_mtime
            except OSError:
                continue
            found[_appc_id(record, descriptor.digest)] = name, imported_s
    return found


def _appc_id(record: Record | None, digest: str) -> str:
    return record.image_id if record is not None else image_hash(digest)


def _read(data_dir: str, layout: Layout, descriptor: Descriptor, names: tuple[str, ...]) -> list[RktImage]:
    image = load_image(layout, "", descriptor)
    manifest = read_manifest(layout, descriptor)
    record = read_record(data_dir, descriptor.digest)
    imported_s = int(os.stat(layout.blob_path(descriptor.digest)).st_mtime)
    sizes = {one.digest: one.size_bytes for one in (*image.layers, manifest.config, descriptor)}
    called = (
        [name_and_version(name) for name in names]
        if record is None
        else [(record.name, record.labels.get("version", LATEST))]
    )
    found = []
    for name, version in called or [("", LATEST)]:
        one = RktImage(_appc_id(record, descriptor.digest), name, version, is_appc=record is not None)
        one.imported_s = imported_s
        one.size_bytes = sum(sizes.values())
        one.annotations = tuple(manifest.annotations.items())
        if record is not None:
            one.labels = tuple(record.labels.items())
            one.manifest = appc_manifest(layout.read_document(descriptor), f"image {descriptor.digest}")
        else:
            standard = _standard_labels(image, version)
            one.labels = (*standard, *_own_labels(image))
            one.manifest = _manifest(name, image, standard, one.annotations)
        found.append(one)
    return found


def _standard_labels(image: ResolvedImage, version: str) -> tuple[tuple[str, str], ...]:
    """appc's own labels (aci.md): what the image is for."""
    labels = [("os", image.os), ("version", version)]
    if image.architecture in ARCHITECTURES:
        labels.insert(1, ("arch", ARCHITECTURES[image.architecture]))
    return tuple(labels)


def _own_labels(image: ResolvedImage) -> tuple[tuple[str, str], ...]:
    labels = _inner(image).get("Labels")
    pairs = labels.items() if isinstance(labels, dict) else ()
    return tuple([(str(name), str(value)) for name, value in pairs])


def _inner(image: ResolvedImage) -> dict[str, Any]:
    inner = image.config.get("config")
    return inner if isinstance(inner, dict) else {}


def _manifest(
    name: str,
    image: ResolvedImage,
    labels: tuple[tuple[str, str], ...],
    annotations: tuple[tuple[str, str], ...],
) -> bytes:
    """An OCI image in appc's words: what it is called and what it runs."""
    document: dict[str, Any] = {
        "acKind": "ImageManifest",
        "acVersion": AC_VERSION,
        "name": name or "image",
        "labels": [{"name": key, "value": value} for key, value in labels],
        "annotations": [
            {"name": key, "value": value} for key, value in annotations if key == identifier(key)
        ],
    }
    inner = _inner(image)
    command = [*(inner.get("Entrypoint") or ()), *(inner.get("Cmd") or ())]
    if command:
        user, _, group = str(inner.get("User") or "").partition(":")
        environment = [entry.partition("=") for entry in inner.get("Env") or ()]
        document["app"] = {
            "exec": command,
            "user": user or "0",
            "group": group or "0",
            "workingDirectory": inner.get("WorkingDir") or "/",
            "environment": [{"name": key, "value": value} for key, _, value in environment],
        }
    return dumps(document).encode()

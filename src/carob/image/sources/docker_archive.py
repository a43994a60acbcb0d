"""A source that ``docker save`` wrote, or a tool that writes the same (podman save, skopeo, kaniko).

``manifest.json`` lists the images: a configuration, tags, and a file a layer. Layers are told by their diff
ids alone, so the descriptors that a manifest has are made here. An uncompressed layer, the usual case, has
its diff id for a digest; of a compressed one the digest is computed, which reads it once more.
"""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

from carob.errors import CorruptData, InvalidInput, NotFound, Unsupported
from carob.image.compression import MAGIC_BYTES, Compression, detect
from carob.image.sources.files import Files, has_file, read_file
from carob.image.sources.source import BlobReader
from carob.image.store.resolve import normal_name
from carob.spec.address import ImageAddress, image_number, shown
from carob.spec.oci.config import diff_ids, parse_config, sha256_hex
from carob.spec.oci.descriptor import CONFIG, LAYER, LAYER_GZIP, LAYER_ZSTD, MANIFEST, Descriptor
from carob.spec.oci.document import (
    DOCUMENT_BYTES,
    encode_document,
    text_field,
    text_list_field,
)
from carob.spec.oci.manifest import Manifest

MANIFEST_FILE = "manifest.json"
_PIECE_BYTES = 1 << 20
_MEDIA_TYPES = {Compression.NONE: LAYER, Compression.GZIP: LAYER_GZIP, Compression.ZSTD: LAYER_ZSTD}


class DockerArchiveSource:
    """One image of such an archive: the address's reference is one of its tags in normal form, ``@N``, or
    ``""`` where there is but one. It is called what was asked for, or else as the archive calls it.
    """

    def __init__(self, files: Files, address: ImageAddress) -> None:
        self.address = address
        self.name = shown(address)
        self._files = files
        wanted = address.reference
        item = _choose(read_items(files), files.what, wanted)
        self.tags = item_tags(item, files.what)
        self.reference = wanted if image_number(wanted) is None and wanted else next(iter(self.tags), "")
        self._item = item
        self._lock = threading.Lock()
        self._made: tuple[Descriptor, bytes] | None = None
        self._config = b""
        self._members: dict[str, str] = {}

    def root(self) -> tuple[Descriptor, bytes]:
        """See ``Source``. The manifest is made here; it is the same each time for the same archive."""
        with self._lock:
            if self._made is None:
                encoded = encode_document(self._manifest().document())
                self._made = Descriptor(MANIFEST, "sha256:" + sha256_hex(encoded), len(encoded)), encoded
            return self._made

    def document(self, descriptor: Descriptor) -> bytes:
        """See ``Source``."""
        self.root()
        return self._config

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """See ``Source``."""
        self.root()
        if descriptor.digest not in self._members:
            raise NotFound(f"there is no layer {descriptor.digest} in {self._files.what}")
        return self._files.open(self._members[descriptor.digest], offset)

    def close(self) -> None:
        """See ``Source``."""
        self._files.close()

    def _manifest(self) -> Manifest:
        what = f"{self._files.what}/{MANIFEST_FILE}"
        name = text_field(self._item, "Config", what)
        self._config = read_file(self._files, name, DOCUMENT_BYTES)
        identifiers = diff_ids(parse_config(self._config, f"{self._files.what}/{name}"), name)
        members = text_list_field(self._item, "Layers", what)
        if len(members) != len(identifiers):
            raise CorruptData(f"{what}: {len(members)} layers but {len(identifiers)} diff ids")
        layers = [
            self._layer(member, identifier) for member, identifier in zip(members, identifiers, strict=True)
        ]
        config = Descriptor(CONFIG, "sha256:" + sha256_hex(self._config), len(self._config))
        return Manifest(config, tuple(layers))

    def _layer(self, member: str, diff_id: str) -> Descriptor:
        reader = self._files.open(member)
        try:
            head = reader.read(MAGIC_BYTES)
            compression = detect(head)
            if compression not in _MEDIA_TYPES:
                raise Unsupported(f"{self._files.what}/{member} is compressed with {compression.value}")
            digest = diff_id if compression is Compression.NONE else _digest(head, reader)
        finally:
            reader.close()
        self._members[digest] = member
        return Descriptor(_MEDIA_TYPES[compression], digest, self._files.size_bytes(member))


def _digest(head: bytes, reader: BlobReader) -> str:
    hashed = hashlib.sha256(head)
    while piece := reader.read(_PIECE_BYTES):
        hashed.update(piece)
    return "sha256:" + hashed.hexdigest()


def read_items(files: Files) -> list[dict[str, Any]]:
    """The images of an archive as they stand there."""
    what = f"{files.what}/{MANIFEST_FILE}"
    try:
        data = read_file(files, MANIFEST_FILE, DOCUMENT_BYTES)
    except NotFound as error:
        if has_file(files, "repositories"):
            raise Unsupported(
                f"{files.what}: an archive of a docker of before 2016",
                hint="load it with a docker of later and save it again",
            ) from error
        raise InvalidInput(f"{files.what} is no archive of 'docker save': no {MANIFEST_FILE}") from error
    try:
        items = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptData(f"{what}: not JSON: {error}") from error
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise CorruptData(f"{what}: not a list of images")
    return items


def item_tags(item: dict[str, Any], what: str) -> list[str]:
    """The names of an image of an archive, in normal form."""
    return [name for tag in text_list_field(item, "RepoTags", what) if (name := normal_name(tag))]


def _is_tagged(item: dict[str, Any], path: str, wanted: str) -> bool:
    """Whether an image has a tag. Docker leaves out its own registry's name, and other tools write it."""
    return _without_docker(wanted) in map(_without_docker, item_tags(item, path))


def _without_docker(name: str) -> str:
    return name.removeprefix("docker.io/").removeprefix("library/")


def _choose(items: list[dict[str, Any]], path: str, wanted: str) -> dict[str, Any]:
    if not items:
        raise NotFound(f"{path} has no image")
    number = image_number(wanted)
    if number is not None:
        if number >= len(items):
            raise NotFound(f"{path} has no image {wanted}", hint=f"it has {len(items)}, from @0")
        return items[number]
    matching = [item for item in items if _is_tagged(item, path, wanted)] if wanted else items
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(sorted(name for item in items for name in item_tags(item, path))[:10])
    if not matching:
        raise NotFound(f"{path} has no image {wanted!r}", hint=f"it has: {names}")
    raise InvalidInput(f"{path} has {len(matching)} images", hint=f"say which by its name: {names}")

"""What carob itself rendered: which OCI manifest is which appc image, and who signed that.

::

    <data directory>/aci/<hex digits of the OCI manifest's digest>      {"version": 1, "imageID": ...}

An annotation that says so proves nothing: whoever makes an OCI image writes what he likes into it. So where
an image is looked for by its appc image id, or its signature counts, these records are asked, and not
annotations. A record stays true for ever, for it is about bytes; one of an image that is gone is swept away
when it is old.
"""

from __future__ import annotations

import os
import time

from carob.errors import CarobError, CorruptData
from carob.image.files.durable import make_directory, replace_file
from carob.image.store.layout import Layout, open_regular, read_whole
from carob.spec.oci.document import (
    encode_document,
    parse_document,
    text_field,
    text_list_field,
    text_map_field,
)
from carob.spec.reference import is_digest, is_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_VERSION = 1
_RECORD_BYTES = 1 << 20
_OLD_S = 86400.0


class Record:
    """One rendered image.

    - ``manifest``: ``sha256:<hex>``, the digest of the OCI manifest, carob's own image id.
    - ``image_id``: ``sha512-<128 hex digits>``, appc's.
    - ``name`` and ``labels`` from the appc manifest.
    - ``signers``: fingerprints of the trusted keys that had signed it then; none where nobody asked.
    """

    __slots__ = ("image_id", "labels", "manifest", "name", "signers")

    def __init__(
        self, manifest: str, image_id: str, name: str, labels: dict[str, str], signers: tuple[str, ...]
    ) -> None:
        self.manifest = manifest
        self.image_id = image_id
        self.name = name
        self.labels = labels
        self.signers = signers

    def __repr__(self) -> str:
        return f"Record({self.manifest!r}, {self.image_id!r}, {self.name!r}, {self.labels!r})"


def write_record(data_dir: str, record: Record) -> None:
    """Keeps a record, durably, instead of any of the same manifest; its signers stay if now are none."""
    if not record.signers:
        before = read_record(data_dir, record.manifest)
        if before is not None and before.image_id == record.image_id:
            return
    directory = f"{data_dir}/aci"
    make_directory(directory, mode=0o700)
    document = {
        "version": _VERSION,
        "imageID": record.image_id,
        "name": record.name,
        "labels": record.labels,
        "signers": list(record.signers),
    }
    temporary = f"{directory}/.{os.urandom(8).hex()}"
    replace_file(_path(data_dir, record.manifest), encode_document(document), temporary=temporary)


def read_record(data_dir: str, manifest: str) -> Record | None:
    """The record of a manifest's digest; ``None`` for an image that is no appc image, or a broken record."""
    if not is_digest(manifest):
        return None
    path = _path(data_dir, manifest)
    try:
        data = read_whole(open_regular(path), path, _RECORD_BYTES)
        document = parse_document(data, path)
        if document.get("version") != _VERSION:
            return None
        return _record(manifest, document, path)
    except (FileNotFoundError, NotADirectoryError, CarobError):
        return None


def _record(manifest: str, document: dict[str, Any], what: str) -> Record:
    image_id = text_field(document, "imageID", what)
    if not image_id.startswith("sha512-") or len(image_id) != 135 or not is_hex(image_id[7:]):
        raise CorruptData(f"{what}: no image id")

    return Record(
        manifest,
        image_id,
        text_field(document, "name", what),
        text_map_field(document, "labels", what),
        tuple(text_list_field(document, "signers", what)),
    )


def records(data_dir: str) -> Iterator[Record]:
    """Every record, the newest first."""
    directory = f"{data_dir}/aci"
    dated = []
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        try:
            dated.append((os.stat(f"{directory}/{name}", follow_symlinks=False).st_mtime_ns, name))
        except FileNotFoundError:
            continue
    for _, name in sorted(dated, reverse=True):
        record = read_record(data_dir, f"sha256:{name}")
        if record is not None:
            yield record


def sweep_records(data_dir: str, layout: Layout) -> int:
    """Removes the records, a day old, of images that the store does not have; how many.

    A younger one may be of an image that is just being stored.
    """
    directory = f"{data_dir}/aci"
    removed = 0
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return 0
    for name in names:
        path = f"{directory}/{name}"
        digest = f"sha256:{name}"
        try:
            if time.time() - os.stat(path, follow_symlinks=False).st_mtime < _OLD_S:
                continue
            if not is_digest(digest) or not os.path.lexists(layout.blob_path(digest)):
                os.unlink(path)
                removed += 1
        except FileNotFoundError:
            continue
    return removed


def _path(data_dir: str, manifest: str) -> str:
    return f"{data_dir}/aci/{manifest.removeprefix('sha256:')}"

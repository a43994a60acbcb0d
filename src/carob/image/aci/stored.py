"""Appc images that are in the store already, as dependencies of others: rendered, layer upon layer."""

from __future__ import annotations

import os

from carob.errors import CarobError
from carob.image.aci.archive import is_image_id
from carob.image.aci.records import records
from carob.image.store.layout import Layout
from carob.image.store.resolve import load_image
from carob.spec.oci.descriptor import MANIFEST, Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from carob.image.aci.finder import AciSettings
    from carob.image.aci.records import Record
    from carob.spec.appc.image import Dependency


class StoredImage:
    """One image of the store. Its blobs are held open: collected meanwhile, they can still be read."""

    dependencies: Sequence[Dependency] = ()
    path_whitelist: Sequence[str] = ()

    def __init__(self, record: Record, layout: Layout) -> None:
        self.image_id = record.image_id
        self.what = f"{record.name} in the store"
        self.fds: list[int] = []
        size_bytes = os.stat(layout.blob_path(record.manifest)).st_size
        image = load_image(layout, record.name, Descriptor(MANIFEST, record.manifest, size_bytes))
        self.descriptors = image.layers
        self.diff_ids = image.diff_ids
        try:
            for descriptor in image.layers:
                self.fds.append(layout.open_blob(descriptor))
        except BaseException:
            self.close()
            raise

    @property
    def layers(self) -> int:
        """How many layers it is of."""
        return len(self.descriptors)

    def close(self) -> None:
        """Lets go of its blobs."""
        while self.fds:
            os.close(self.fds.pop())


def find_stored(settings: AciSettings, layout: Layout, dependency: Dependency) -> StoredImage | None:
    """The newest image of the store that a dependency means: by its image id, else by name and labels.

    Where signatures are asked for, it counts only if a key signed it that may still sign it.
    """
    for record in records(settings.data_dir):
        if _is_meant(record, dependency) and (settings.insecure.image or _is_signed(record, settings)):
            try:
                return StoredImage(record, layout)
            except (CarobError, OSError):
                continue  # it is not in the store any more, or broken there
    return None


def _is_meant(record: Record, dependency: Dependency) -> bool:
    if record.name != dependency.image_name:
        return False
    if dependency.image_id is not None:
        return is_image_id(record.image_id, str(dependency.image_id))
    wanted = dependency.labels.to_map()
    return all(record.labels.get(name) == value for name, value in wanted.items())


def _is_signed(record: Record, settings: AciSettings) -> bool:
    good = {key.fingerprint for key in settings.keys.keys_for(record.name) if not key.problem}
    return bool(good.intersection(record.signers))

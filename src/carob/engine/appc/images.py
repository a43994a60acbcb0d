"""What images that were ACIs call themselves, for the pod manifest: rkt's tools know them by that."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def own_name(data_dir: str, image_id: str) -> dict[str, Any] | None:
    """The ``image`` of a runtime app (appc, pods.md) for an image that was an ACI; ``None`` for all others.

    That costs one look into a directory where there are no such images.
    """
    if not os.path.exists(f"{data_dir}/aci/{image_id.partition(':')[2]}"):
        return None
    from carob.image.aci.records import read_record

    record = read_record(data_dir, image_id)
    if record is None:
        return None
    labels = [{"name": name, "value": value} for name, value in record.labels.items()]
    return {"name": record.name, "id": record.image_id, "labels": labels}


def by_appc_id(data_dir: str, appc_id: str) -> str:
    """The image id of the image with this appc id, ``sha512-<hex>``; ``""`` where there is none."""
    from carob.image.aci.records import records

    return next((one.manifest for one in records(data_dir) if one.image_id == appc_id), "")

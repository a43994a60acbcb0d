from __future__ import annotations

import io
import tarfile

import pytest

from tests.parts.oci_layout import LAYER, LayoutImage, LayoutWriter


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> LayoutImage:
    """An image of two layers of one file each, the second one of a mebibyte."""
    path = tmp_path_factory.mktemp("small") / "layout"
    writer = LayoutWriter(path)
    layers = [
        writer.blob(_tar("one", b"1"), LAYER),
        writer.blob(_tar("two", bytes(range(256)) * 4096), LAYER),
    ]
    writer.image(layers, tag="small")
    writer.save()
    return LayoutImage(path, "small")


def _tar(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()

"""The media types of layers and configurations, and Docker's put into OCI's terms.

Only OCI's may stand in a layout: other readers pass over a manifest of Docker's there. The two differ in
media types alone (image-spec, media-types.md, "Compatibility Matrix").
"""

from __future__ import annotations

from carob.errors import Unsupported
from carob.spec.oci.descriptor import CONFIG, LAYER, LAYER_GZIP, LAYER_ZSTD, Descriptor
from carob.spec.oci.manifest import Manifest

_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar"
_NOT_DISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar"

_LAYERS = {
    LAYER: LAYER,
    LAYER_GZIP: LAYER_GZIP,
    LAYER_ZSTD: LAYER_ZSTD,
    _DOCKER_LAYER: LAYER,
    _DOCKER_LAYER + ".gzip": LAYER_GZIP,
    _DOCKER_LAYER + ".zstd": LAYER_ZSTD,
    _DOCKER_LAYER + "+zstd": LAYER_ZSTD,
    _DOCKER_FOREIGN: LAYER,
    _DOCKER_FOREIGN + ".gzip": LAYER_GZIP,
    _NOT_DISTRIBUTABLE: LAYER,
    _NOT_DISTRIBUTABLE + "+gzip": LAYER_GZIP,
    _NOT_DISTRIBUTABLE + "+zstd": LAYER_ZSTD,
}


def in_oci_terms(manifest: Manifest) -> Manifest:
    """The same image with OCI's media types."""
    config = Descriptor(CONFIG, manifest.config.digest, manifest.config.size_bytes)
    layers = tuple(
        Descriptor(_LAYERS[layer.media_type], layer.digest, layer.size_bytes) for layer in manifest.layers
    )
    return Manifest(config, layers, manifest.annotations)


def check_is_image(manifest: Manifest, what: str) -> None:
    """Raises ``Unsupported`` for the manifest of something else than an image (a chart, a signature, an
    encrypted image ...).
    """
    if manifest.config.media_type not in (CONFIG, _DOCKER_CONFIG):
        raise Unsupported(f"{what} is no image: its configuration is {manifest.config.media_type[:100]!r}")
    for layer in manifest.layers:
        if layer.media_type not in _LAYERS:
            raise Unsupported(
                f"{what}: layer {layer.digest} is {layer.media_type[:100]!r}",
                hint="layers are tars: plain, or compressed with gzip or zstd",
            )

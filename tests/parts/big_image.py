"""A large real image and its relatives, all made from one Debian root file system; kept in ``.cache/images``.

Layers are written by GNU tar, compressed by skopeo, and joined by `LayoutWriter`; nothing is carob's.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.parts import debian_root, image_recipes, layer_tars, skopeo
from tests.parts.cache import CACHE, Cache
from tests.parts.oci_layout import LayoutImage, architecture

VERSION = 2
"""To be raised when something else is made than before: then all is made anew."""

MANY = 127
"""As many layers as Docker's storage takes."""

TAG = "big"
_PARTS = (r"(lib)?python3.*|media-types", r"iputils-.*|libcap2.*")
_FAMILY = ("one", "two")


class BigImages:
    """Each attribute is made when first asked for, which needs root; what is there can be read by anybody.

    Nobody may change what they hold: work on a copy. `Lacking` where something cannot be made here.
    """

    def __init__(self, parent: Path = CACHE) -> None:
        recipe = f"{VERSION} {debian_root.PACKAGES} {MANY} {architecture()}"
        self._cache = Cache(hashlib.sha256(recipe.encode()).hexdigest()[:12], parent)

    @property
    def rootfs(self) -> Path:
        """The root file system as a directory."""
        return self._cache.made("rootfs", debian_root.make)

    @property
    def rootfs_tar(self) -> Path:
        """The same as one uncompressed archive."""
        return self._cache.made(
            "rootfs.tar", lambda new: layer_tars.pack(self.rootfs, layer_tars.names_below(self.rootfs), new)
        )

    @property
    def plain(self) -> LayoutImage:
        """Three layers, not compressed: Debian's minimum, Python, and some programs."""
        return LayoutImage(
            self._cache.made("plain", lambda new: image_recipes.divided(new, self.rootfs, _PARTS, TAG)), TAG
        )

    @property
    def gzip(self) -> LayoutImage:
        """The same three layers by gzip."""
        return LayoutImage(self._compressed("gzip", "gzip", self.plain), TAG)

    @property
    def zstd(self) -> LayoutImage:
        """The same three layers by zstd."""
        return LayoutImage(self._compressed("zstd", "zstd", self.plain), TAG)

    @property
    def docker_archive(self) -> Path:
        """The same image as ``docker save`` writes it, called ``big:latest``."""
        return self._archive("docker-archive", ":big:latest")

    @property
    def oci_archive(self) -> Path:
        """The same image as a tar of its layout."""
        return self._archive("oci-archive", f":{TAG}")

    @property
    def family(self) -> tuple[LayoutImage, LayoutImage]:
        """Two images of the three layers of ``gzip`` and an application's layer each."""
        plain = self._cache.made(
            "family-plain", lambda new: image_recipes.family(new, self.rootfs, self.plain, _FAMILY)
        )
        made = self._compressed("family", "gzip", *(LayoutImage(plain, tag) for tag in _FAMILY))
        first, second = (LayoutImage(made, tag) for tag in _FAMILY)
        return first, second

    @property
    def many(self) -> LayoutImage:
        """127 layers by gzip: Debian's packages in a hundred, and changes to what is below in the others."""
        plain = self._cache.made("many-plain", lambda new: image_recipes.many(new, self.rootfs, MANY, TAG))
        return LayoutImage(self._compressed("many", "gzip", LayoutImage(plain, TAG)), TAG)

    @property
    def odd(self) -> LayoutImage:
        """Two layers, not compressed, of devices, fifos, ACLs, holes, strange names and times; not Debian."""
        return LayoutImage(self._cache.made("odd", lambda new: image_recipes.odd(new, TAG)), TAG)

    @property
    def index(self) -> LayoutImage:
        """An index of images for linux on s390x, on arm/v5, and, last, on this machine: that is ``gzip``."""
        return LayoutImage(
            self._cache.made("index", lambda new: image_recipes.index(new, self.gzip, TAG)), TAG
        )

    def _compressed(self, name: str, form: str, *images: LayoutImage) -> Path:
        return self._cache.made(name, lambda new: image_recipes.compress(new, form, images))

    def _archive(self, transport: str, name: str) -> Path:
        gzip = self.gzip
        return self._cache.made(
            f"{transport}.tar", lambda new: skopeo.copy(gzip.oci, f"{transport}:{new}{name}")
        )

"""Image manifests. Source: appc specification 0.8.11, "Image Manifest Schema"."""

from __future__ import annotations

from carob.spec.appc.app import APP
from carob.spec.appc.codec import STRING, UINT, TextOf
from carob.spec.appc.compound import ArrayOf, CheckedObjectOf, ObjectOf, Optional
from carob.spec.appc.document import AC_KIND, AC_VERSION, APPC_VERSION, Document, from_json
from carob.spec.appc.fault import FieldError
from carob.spec.appc.named import ANNOTATIONS, LABELS
from carob.spec.appc.names import ACIdentifier, ACKind, Hash
from carob.spec.appc.record import Field, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carob.spec.appc.app import App
    from carob.spec.appc.array import Array
    from carob.spec.appc.named import Annotation, Annotations, Label, Labels


class Dependency(Record):
    """An image that another one is layered upon; ``size`` is in bytes, 0 when unknown."""

    __slots__ = ("image_id", "image_name", "labels", "size")
    FIELDS = (
        Field("image_name", "imageName", TextOf(ACIdentifier)),
        Field("image_id", "imageID", Optional(TextOf(Hash)), omit_empty=True),
        Field("labels", "labels", LABELS, omit_empty=True),
        Field("size", "size", UINT, omit_empty=True),
    )
    image_name: ACIdentifier
    image_id: Hash | None
    labels: Labels
    size: int

    def __init__(
        self,
        image_name: str,
        *,
        image_id: str | None = None,
        labels: Mapping[str, str] | Iterable[Label] | None = None,
        size: int = 0,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(extra, image_name=image_name, image_id=image_id, labels=labels, size=size)

    def check(self) -> None:
        if not self.image_name:
            raise FieldError("must be set", path="imageName")


class ImageManifest(Document):
    """What an image is called, what it holds and what it runs."""

    __slots__ = ("annotations", "app", "dependencies", "labels", "name", "path_whitelist")
    FIELDS = (
        AC_KIND,
        AC_VERSION,
        Field("name", "name", TextOf(ACIdentifier)),
        Field("labels", "labels", LABELS, omit_empty=True),
        Field("app", "app", Optional(APP), omit_empty=True),
        Field("annotations", "annotations", ANNOTATIONS, omit_empty=True),
        Field("dependencies", "dependencies", ArrayOf(CheckedObjectOf(Dependency)), omit_empty=True),
        Field("path_whitelist", "pathWhitelist", ArrayOf(STRING), omit_empty=True),
    )
    KIND = ACKind("ImageManifest")
    name: ACIdentifier
    labels: Labels
    app: App | None
    annotations: Annotations
    dependencies: Array[Dependency]
    path_whitelist: Array[str]

    def __init__(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | Iterable[Label] | None = None,
        app: App | None = None,
        annotations: Mapping[str, str] | Iterable[Annotation] | None = None,
        dependencies: Iterable[Dependency] | None = None,
        path_whitelist: Iterable[str] | None = None,
        ac_version: str = APPC_VERSION,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(
            extra,
            ac_kind=self.KIND,
            ac_version=ac_version,
            name=name,
            labels=labels,
            app=app,
            annotations=annotations,
            dependencies=dependencies,
            path_whitelist=path_whitelist,
        )

    @classmethod
    def from_json(cls, raw: bytes | bytearray | memoryview) -> ImageManifest:
        """The manifest in ``raw``. Raises `FieldError`, an `carob.errors.InvalidInput`."""
        manifest = from_json(_CODEC, raw)
        assert isinstance(manifest, ImageManifest)
        return manifest

    def check(self) -> None:
        super().check()
        if not self.ac_version:
            raise FieldError("must be set", path="acVersion")
        if not self.name:
            raise FieldError("must be set", path="name")


_CODEC = ObjectOf(ImageManifest)

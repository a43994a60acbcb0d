"""Pod manifests. Source: appc specification 0.8.11, "Pod Manifest Schema"."""

from __future__ import annotations

from carob.spec.appc.app import APP
from carob.spec.appc.array import Array
from carob.spec.appc.codec import BOOL, TextOf
from carob.spec.appc.compound import STRING_MAP, ArrayOf, CheckedArrayOf, ObjectOf, Optional
from carob.spec.appc.document import AC_KIND, AC_VERSION, APPC_VERSION, Document, from_json
from carob.spec.appc.fault import FieldError
from carob.spec.appc.isolator import ISOLATORS
from carob.spec.appc.named import ANNOTATIONS, LABELS
from carob.spec.appc.names import ACIdentifier, ACKind, ACName, Hash
from carob.spec.appc.port import EXPOSED_PORT
from carob.spec.appc.record import Field, Record
from carob.spec.appc.volume import MOUNT, VOLUME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carob.spec.appc.app import App
    from carob.spec.appc.array import StringMap
    from carob.spec.appc.isolator import Isolator, Isolators
    from carob.spec.appc.named import Annotation, Annotations, Label, Labels
    from carob.spec.appc.port import ExposedPort
    from carob.spec.appc.volume import Mount, Volume


class RuntimeImage(Record):
    """The image of an app in a pod: its ID, and what it was asked for by."""

    __slots__ = ("id", "labels", "name")
    FIELDS = (
        Field("name", "name", Optional(TextOf(ACIdentifier)), omit_empty=True),
        Field("id", "id", TextOf(Hash)),
        Field("labels", "labels", LABELS, omit_empty=True),
    )
    name: ACIdentifier | None
    id: Hash
    labels: Labels

    def __init__(
        self,
        id: str,  # noqa: A002
        *,
        name: str | None = None,
        labels: Mapping[str, str] | Iterable[Label] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(extra, name=name, id=id, labels=labels)


class RuntimeApp(Record):
    """An app of a pod. Without ``app``, the app section of the image's own manifest counts."""

    __slots__ = ("annotations", "app", "image", "mounts", "name", "read_only_root_fs")
    FIELDS = (
        Field("name", "name", TextOf(ACName)),
        Field("image", "image", ObjectOf(RuntimeImage)),
        Field("app", "app", Optional(APP), omit_empty=True),
        Field("read_only_root_fs", "readOnlyRootFS", BOOL, omit_empty=True),
        Field("mounts", "mounts", ArrayOf(MOUNT), omit_empty=True),
        Field("annotations", "annotations", ANNOTATIONS, omit_empty=True),
    )
    name: ACName
    image: RuntimeImage
    app: App | None
    read_only_root_fs: bool
    mounts: Array[Mount]
    annotations: Annotations

    def __init__(
        self,
        name: str,
        image: RuntimeImage,
        *,
        app: App | None = None,
        read_only_root_fs: bool = False,
        mounts: Iterable[Mount] | None = None,
        annotations: Mapping[str, str] | Iterable[Annotation] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(
            extra,
            name=name,
            image=image,
            app=app,
            read_only_root_fs=read_only_root_fs,
            mounts=mounts,
            annotations=annotations,
        )


class AppList(Array[RuntimeApp]):
    """The apps of a pod; their names are unique."""

    def get(self, name: str) -> RuntimeApp | None:
        """The app of this name."""
        for app in self:
            if app.name == name:
                return app
        return None

    def check(self) -> None:
        names = set()
        for index, app in enumerate(self):
            if app.name in names:
                raise FieldError(f"duplicate app {str(app.name)!r}", path=f"[{index}].name")
            names.add(app.name)


class PodManifest(Document):
    """The apps of a pod, and what they share.

    A document without ``acVersion`` can be read (``ac_version`` is then empty) but not written.
    """

    __slots__ = (
        "annotations",
        "apps",
        "isolators",
        "ports",
        "user_annotations",
        "user_labels",
        "volumes",
    )
    FIELDS = (
        AC_VERSION,
        AC_KIND,
        Field("apps", "apps", CheckedArrayOf(ObjectOf(RuntimeApp), AppList)),
        Field("volumes", "volumes", ArrayOf(VOLUME)),
        Field("isolators", "isolators", ISOLATORS),
        Field("annotations", "annotations", ANNOTATIONS),
        Field("ports", "ports", ArrayOf(EXPOSED_PORT)),
        Field("user_annotations", "userAnnotations", STRING_MAP, omit_empty=True),
        Field("user_labels", "userLabels", STRING_MAP, omit_empty=True),
    )
    KIND = ACKind("PodManifest")
    apps: AppList
    volumes: Array[Volume]
    isolators: Isolators
    annotations: Annotations
    ports: Array[ExposedPort]
    user_annotations: StringMap
    user_labels: StringMap

    def __init__(
        self,
        apps: Iterable[RuntimeApp] | None = None,
        *,
        volumes: Iterable[Volume] | None = None,
        isolators: Iterable[Isolator] | None = None,
        annotations: Mapping[str, str] | Iterable[Annotation] | None = None,
        ports: Iterable[ExposedPort] | None = None,
        user_annotations: Mapping[str, str] | None = None,
        user_labels: Mapping[str, str] | None = None,
        ac_version: str = APPC_VERSION,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._fill(
            extra,
            ac_version=ac_version,
            ac_kind=self.KIND,
            apps=apps,
            volumes=volumes,
            isolators=isolators,
            annotations=annotations,
            ports=ports,
            user_annotations=user_annotations,
            user_labels=user_labels,
        )

    @classmethod
    def from_json(cls, raw: bytes | bytearray | memoryview) -> PodManifest:
        """The manifest in ``raw``. Raises `FieldError`, an `carob.errors.InvalidInput`."""
        manifest = from_json(_CODEC, raw)
        assert isinstance(manifest, PodManifest)
        return manifest

    def check(self) -> None:
        super().check()
        names = set()
        for index, volume in enumerate(self.volumes):
            if volume.name in names:
                raise FieldError(f"duplicate volume {str(volume.name)!r}", path=f"volumes[{index}].name")
            names.add(volume.name)


_CODEC = ObjectOf(PodManifest)

"""The documents of the App Container specification (appc) 0.8.11: image manifests and pod manifests.

They are typed values that are checked when they are made or read and do not change. What they accept,
reject and write is what the Go package ``schema`` of appc does; keys that the schema does not know
survive reading and writing. Every error is a `FieldError`, a `carob.errors.InvalidInput` that names the
path of the field.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.spec.appc.app import App, EventHandler
    from carob.spec.appc.array import Array, StringMap
    from carob.spec.appc.date import Date
    from carob.spec.appc.document import APPC_VERSION, kind_of
    from carob.spec.appc.fault import FieldError
    from carob.spec.appc.image import Dependency, ImageManifest
    from carob.spec.appc.isolator import Isolator, Isolators
    from carob.spec.appc.isolator_values import CapabilitySet, Resource, SeccompSet, SELinuxContext
    from carob.spec.appc.named import (
        Annotation,
        Annotations,
        Environment,
        EnvironmentVariable,
        Label,
        Labels,
    )
    from carob.spec.appc.names import (
        ACIdentifier,
        ACKind,
        ACName,
        Hash,
        sanitize_acidentifier,
        sanitize_acname,
    )
    from carob.spec.appc.pod import AppList, PodManifest, RuntimeApp, RuntimeImage
    from carob.spec.appc.port import ExposedPort, Port
    from carob.spec.appc.quantity import Quantity
    from carob.spec.appc.quick import app_names
    from carob.spec.appc.semver import SemVer
    from carob.spec.appc.url import URL
    from carob.spec.appc.uuid import UUID
    from carob.spec.appc.volume import Mount, MountPoint, Volume

_HOME = {
    "APPC_VERSION": "document",
    "ACIdentifier": "names",
    "ACKind": "names",
    "ACName": "names",
    "Annotation": "named",
    "Annotations": "named",
    "App": "app",
    "AppList": "pod",
    "Array": "array",
    "CapabilitySet": "isolator_values",
    "Date": "date",
    "Dependency": "image",
    "Environment": "named",
    "EnvironmentVariable": "named",
    "EventHandler": "app",
    "ExposedPort": "port",
    "FieldError": "fault",
    "Hash": "names",
    "ImageManifest": "image",
    "Isolator": "isolator",
    "Isolators": "isolator",
    "Label": "named",
    "Labels": "named",
    "Mount": "volume",
    "MountPoint": "volume",
    "PodManifest": "pod",
    "Port": "port",
    "Quantity": "quantity",
    "Resource": "isolator_values",
    "RuntimeApp": "pod",
    "RuntimeImage": "pod",
    "SELinuxContext": "isolator_values",
    "SeccompSet": "isolator_values",
    "SemVer": "semver",
    "StringMap": "array",
    "URL": "url",
    "UUID": "uuid",
    "Volume": "volume",
    "app_names": "quick",
    "kind_of": "document",
    "sanitize_acidentifier": "names",
    "sanitize_acname": "names",
}

__all__ = [
    "APPC_VERSION",
    "URL",
    "UUID",
    "ACIdentifier",
    "ACKind",
    "ACName",
    "Annotation",
    "Annotations",
    "App",
    "AppList",
    "Array",
    "CapabilitySet",
    "Date",
    "Dependency",
    "Environment",
    "EnvironmentVariable",
    "EventHandler",
    "ExposedPort",
    "FieldError",
    "Hash",
    "ImageManifest",
    "Isolator",
    "Isolators",
    "Label",
    "Labels",
    "Mount",
    "MountPoint",
    "PodManifest",
    "Port",
    "Quantity",
    "Resource",
    "RuntimeApp",
    "RuntimeImage",
    "SELinuxContext",
    "SeccompSet",
    "SemVer",
    "StringMap",
    "Volume",
    "app_names",
    "kind_of",
    "sanitize_acidentifier",
    "sanitize_acname",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{home}", fromlist=(name,))
    value: object = getattr(module, name)
    globals()[name] = value
    return value

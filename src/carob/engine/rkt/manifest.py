"""From an appc pod manifest (``--pod-manifest``) to a request. What carob cannot do is refused by name.

Images are found in the local store: by the digest that carob wrote beside them, by the image id, or by
name and the label ``version``. As in rkt, an app section replaces what the image says of command, user and
working directory; variables of the image's environment that it does not name stay.
"""

from __future__ import annotations

import platform

from carob.engine.appc import isolators
from carob.engine.appc.documents import (
    FILES,
    IMAGE_DIGEST,
    IMAGE_REFERENCE,
    MOUNTS,
    NETWORK,
    POD_NAME,
    identifier,
    image_hash,
)
from carob.engine.appc.images import by_appc_id
from carob.engine.request.life import NOTED, from_annotations
from carob.engine.request.pod import App, PodRequest
from carob.engine.rkt.manifest_mounts import beside
from carob.errors import InvalidInput, NotFound, Unsupported
from carob.pod.layout import MUTABLE_ANNOTATION
from carob.spec.appc import PodManifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, Unpack

    from carob.engine.images.collection import Images
    from carob.engine.request.options import PodOptions
    from carob.spec.appc.pod import RuntimeApp
    from carob.spec.appc.volume import Volume

# What uname(2) says, in appc's words (types.md, "arch").
_ARCHITECTURES = {"x86_64": "amd64", "i686": "i386"}


def request(
    raw: bytes,
    images: Images,
    *,
    default_network: str = "none",
    **given: Unpack[PodOptions],
) -> PodRequest:
    """The request that a pod manifest makes; what is given beside it goes over it.

    ``default_network`` is for a manifest that carob did not write, and so names none.

    Raises ``InvalidInput`` for what is no pod manifest, ``Unsupported`` for what carob cannot do, each with
    the path of the field, and ``NotFound`` for an image.
    """
    manifest = PodManifest.from_json(raw)
    _refuse("", manifest)
    if not manifest.apps:
        raise InvalidInput("apps: a pod needs at least one app")
    noted = {str(one.name): str(one.value) for one in manifest.annotations}
    # None is for PodRequest to decide: ports that are given want a network.
    network = noted.pop(NETWORK, default_network if default_network != "none" else None)
    shared: Any = isolators.read_pod("isolators", manifest.isolators, noted.pop(isolators.ANNOTATION, None))
    if noted.pop(MUTABLE_ANNOTATION, "") == "true":
        _unsupported(f"annotations[{MUTABLE_ANNOTATION}]", "mutable pods with apps from the start")
    options: PodOptions = {"name": noted.pop(POD_NAME, ""), "network": network, "annotations": noted}
    options["labels"], options["user_annotations"] = manifest.user_labels, manifest.user_annotations
    options.update(shared)
    if manifest.ports:
        from carob.engine.appc import ports

        options["ports"] = ports.read(manifest)
    volumes = {str(volume.name): volume for volume in manifest.volumes}
    for index, volume in enumerate(manifest.volumes):
        _refuse(f"volumes[{index}]", volume)
    apps = [_checked_app(f"apps[{index}]", app, volumes, images) for index, app in enumerate(manifest.apps)]
    options.update(given)
    return PodRequest(apps, **options)


def _checked_app(path: str, entry: RuntimeApp, volumes: dict[str, Volume], images: Images) -> App:
    """What appc allows and an app here cannot be, such as a NUL in a word, is told with its path."""
    try:
        return _app(path, entry, volumes, images)
    except InvalidInput as error:
        if error.message.startswith(path):
            raise
        raise InvalidInput(f"{path}: {error.message}", hint=error.hint) from None


def _app(path: str, entry: RuntimeApp, volumes: dict[str, Volume], images: Images) -> App:
    _refuse(path, entry)
    _refuse(f"{path}.image", entry.image)
    noted = {str(one.name): str(one.value) for one in entry.annotations}
    image = _image(path, entry, noted, images)
    for name in noted:
        if name not in (IMAGE_DIGEST, IMAGE_REFERENCE, MOUNTS, FILES, isolators.ANNOTATION, *NOTED):
            _unsupported(f"{path}.annotations[{name}]", "annotations of an app")
    app = entry.app
    security, resources = isolators.read_app(
        f"{path}.app.isolators",
        () if app is None else app.isolators,
        noted.get(isolators.ANNOTATION),
        read_only=bool(entry.read_only_root_fs),
        groups=() if app is None else app.supplementary_gids,
    )
    if app is None:
        mounts = beside(path, entry, noted, volumes, _refuse)
        living = from_annotations(noted)
        return App(image, name=str(entry.name), security=security, resources=resources, **mounts, **living)
    _refuse(
        f"{path}.app",
        app,
        *("event_handlers", "user_annotations", "user_labels"),
    )
    for key, account in (("user", app.user), ("group", app.group)):
        if "/" in account:
            _unsupported(f"{path}.app.{key}", "the owner of a file as a user or group")
    command = [str(word) for word in app.exec]
    return App(
        image,
        command[1:],
        exec=command[0] if command else None,
        name=str(entry.name),
        env={str(one.name): str(one.value) for one in app.environment},
        user=f"{app.user}:{app.group}",
        workdir=app.working_directory or None,
        **beside(path, entry, noted, volumes, _refuse),
        security=security,
        resources=resources,
        image_isolators=False,
        **from_annotations(noted),
    )


def _image(path: str, entry: RuntimeApp, noted: dict[str, str], images: Images) -> str:
    """What names the image in the store."""
    digest = noted.get(IMAGE_DIGEST, "")
    wanted = str(entry.image.id)
    if digest and image_hash(digest) == wanted:
        return digest
    if was_appc := by_appc_id(images.data_dir, wanted):
        return was_appc
    for summary in images.list():
        if not summary.problem and image_hash(summary.image_id) == wanted:
            return summary.image_id
    labels = {str(label.name): str(label.value) for label in entry.image.labels}
    version = labels.pop("version", "")
    here = {"os": "linux", "arch": _ARCHITECTURES.get(platform.machine(), platform.machine())}
    for name, value in labels.items():
        if here.get(name) != value:
            _unsupported(f"{path}.image.labels[{name}]", f"an image with {name}={value}")
    if entry.image.name is None or set(wanted.removeprefix("sha512-")) != {"0"}:
        raise NotFound(
            f"{path}.image.id: no image of the store has the id {wanted}",
            hint="carob image list shows them; an id of zeros stands for whatever has the name",
        )
    return _named(path, str(entry.image.name), version, images)


def _named(path: str, name: str, version: str, images: Images) -> str:
    for summary in images.list():
        for one in summary.names:
            reference, _, tag = one.rpartition(":")
            if identifier(reference) == name and tag == (version or "latest"):
                return one
            if identifier(one) == name and not version:
                return one
    shown = f"{name}:{version}" if version else name
    raise NotFound(f"{path}.image: there is no image {shown}", hint="carob image list shows the images")


def _refuse(path: str, record: Any, *attributes: str) -> None:
    """Refuses an object that sets any of these fields, or keys that appc does not know."""
    joint = f"{path}." if path else ""
    keys = {field.attr: field.key for field in record.FIELDS}
    for attribute in attributes:
        if getattr(record, attribute):
            _unsupported(joint + keys[attribute], f"{keys[attribute]} of pods")
    for key in record.extra:
        _unsupported(joint + key, "a key that appc does not know")


def _unsupported(path: str, what: str) -> NoReturn:
    raise Unsupported(f"{path}: carob does not support {what}", hint="leave it out of the pod manifest")

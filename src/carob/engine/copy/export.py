"""The file system of a pod's app, as it is now: as a tar, or as a new image."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from carob.engine.appc.documents import IMAGE_DIGEST
from carob.engine.observe.owners import of_plan
from carob.engine.observe.plan import read_plan
from carob.engine.observe.status import annotation, manifest_summary
from carob.errors import CarobError, InvalidInput, NotFound
from carob.image.archives.export import commit_layers, export_layers
from carob.image.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from carob.image.store.resolved import ResolvedImage
    from carob.pod import Pod


def export_app(pod: Pod, app: str, target: str | int) -> None:
    """Writes what the app sees as a tar, to a path (all or nothing) or an open file."""
    found = _app(pod, app)
    export_layers(_layers(pod, found), target, _owners(pod, found))


def commit_app(data_dir: str, pod: Pod, app: str, name: str) -> ResolvedImage:
    """Makes an image of one layer from what the app sees; it is configured like the app's image."""
    found = _app(pod, app)
    store = Store(data_dir)
    return commit_layers(
        store,
        _layers(pod, found),
        name=name,
        config=_config(store, pod, found["name"]),
        owners=_owners(pod, found),
    )


def _config(store: Store, pod: Pod, app: str) -> dict[str, Any]:
    """The configuration of the app's image; nothing where the image was taken away meanwhile."""
    for document in manifest_summary(pod)[1]:
        if document.get("name") == app:
            try:
                return dict(store.resolve(annotation(document, IMAGE_DIGEST)).config.get("config") or {})
            except CarobError:
                break
    return {}


def _app(pod: Pod, name: str) -> dict[str, Any]:
    """The app's part of the plan; the pod's only app for ``""``."""
    apps = read_plan(pod)["apps"]
    if not name:
        if len(apps) > 1:
            words = ", ".join(app["name"] for app in apps)
            raise InvalidInput(f"pod {pod.uuid} has {len(apps)} apps", hint=f"say which: {words}")
        if not apps:
            raise NotFound(f"pod {pod.uuid} has no apps")
        return cast("dict[str, Any]", apps[0])
    for app in apps:
        if app["name"] == name:
            return cast("dict[str, Any]", app)
    raise NotFound(f"pod {pod.uuid} has no app {name!r}")


def _owners(pod: Pod, app: dict[str, Any]) -> Callable[[int, int], tuple[int, int]] | None:
    """Who has the files in the pod; ``None`` where that is who has them on disk."""
    plan = read_plan(pod)
    return of_plan(plan)[1].inside if "owners" in plan and "upper" in app["rootfs"] else None


def _layers(pod: Pod, app: dict[str, Any]) -> list[str]:
    """The directories that overlayfs puts together, the topmost first; paths that a rename does not break."""
    base = f"/proc/self/fd/{pod.fd()}"
    rootfs = app["rootfs"]
    if "directory" in rootfs:
        return [os.path.join(base, rootfs["directory"])]
    return [os.path.join(base, rootfs["upper"]), *rootfs["lower"]]

"""What an image asks for beside its command: places for data, and an ACI's isolators.

Loaded for images that ask for something. What is said of the app goes over it. Why so: docs/decisions/0026.
"""

from __future__ import annotations

import os
import posixpath

from carob.engine.request.mounts import EmptyVolume, Mount
from carob.engine.request.pod import App
from carob.errors import CarobError, InvalidInput
from carob.image.files.lookup import directories_at, without_links
from carob.protocol import plan as plans
from carob.runtime.bundle import Volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from carob.engine.request.resources import Resources
    from carob.engine.request.security import Security
    from carob.image.layers.trees import Tree
    from carob.image.store.resolved import ResolvedImage

_MOST_PLACES = 256
_NOT_DATA = ("", "dev", "proc", "sys")
_CAPABILITIES = frozenset(("cap_add", "cap_drop", "cap_retain"))
_GROUPS_OF_LIMITS = (
    ("memory_bytes", "memory_swap_bytes", "memory_reservation_bytes"),
    ("cpu_quota_us", "cpu_period_us"),
)


def completed(app: App, image: ResolvedImage, tree: Tree, data_dir: str) -> App:
    """The app with what its image asks for; ``data_dir`` is that of an ACI, ``""`` for other images.

    Raises ``InvalidInput`` and ``Unsupported`` for isolators that say nothing sensible.
    """
    if data_dir and app.image_isolators:
        app = _with_isolators(app, data_dir, image.image_id)
    if len(named := _named(image.config)) > _MOST_PLACES:
        raise InvalidInput(
            f"image {app.image} has {len(named)} places for data", hint=f"{_MOST_PLACES} at most"
        )
    missing = [place for place, real in _places(app, image.config, tree) if real is None]
    if not missing:
        return app
    return _changed(app, mounts=(*app.mounts, *[Mount(EmptyVolume(), place) for place in missing]))


def writable_places(name: str, app: App, config: dict[str, Any], tree: Tree) -> list[Volume]:
    """Mounts by which the places that the image has stay writable in a root that is not."""
    found = []
    for place, real in _places(app, config, tree):
        if real is not None:
            found.append(Volume(f"{plans.ROOTFS_AT}/{name}/{real}", place, read_only=False))
    return found


def _named(config: dict[str, Any]) -> dict[str, Any]:
    return (config.get("config") or {}).get("Volumes") or {}


def _places(app: App, config: dict[str, Any], tree: Tree) -> Iterator[tuple[str, str | None]]:
    """Each place, and the directory that it is in the image, without links; ``None`` where it is none.

    Those in a mount, or where there is a file, are passed over; so are directories in another one
    that is there, which is mounted with them: who can write to that could put a link in their place.
    """
    targets = [mount.target for mount in app.mounts] + [file.target for file in app.files]
    mounted = [posixpath.normpath(target) for target in targets]
    found: list[str] = []
    for place in sorted(_named(config)):
        path = posixpath.normpath(f"/{place}").replace("//", "/")
        try:
            real = os.fsdecode(without_links(tree.lower_dirs, os.fsencode(path)))
            is_there = bool(directories_at(tree.lower_dirs, path))
        except (OSError, ValueError):
            continue
        if real.split("/")[0] in _NOT_DATA or any(_is_at_or_in(path, one) for one in mounted):
            continue
        if not is_there and not _is_something(tree, real):
            yield path, None
        elif is_there and not any(_is_at_or_in(real, one) for one in found):
            found.append(real)
            yield path, real


def _is_at_or_in(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")


def _is_something(tree: Tree, real: str) -> bool:
    return any(os.path.lexists(f"{layer}/{real}") for layer in tree.lower_dirs)


def _changed(app: App, **parts: Any) -> App:
    made = App.__new__(App)
    for name in App.__slots__:
        setattr(made, name, parts[name] if name in parts else getattr(app, name))
    return made


# --- isolators --------------------------------------------------------------------------------------


def _with_isolators(app: App, data_dir: str, image_id: str) -> App:
    from carob.engine.appc import isolators
    from carob.engine.failures import about
    from carob.engine.images.collection import Images
    from carob.image.aci.records import read_record
    from carob.spec.appc import ImageManifest

    section = ImageManifest.from_json(Images(data_dir).cat_manifest(image_id)).app
    if section is None or not (section.isolators or section.supplementary_gids):
        return app
    record = read_record(data_dir, image_id)
    try:
        words, limits = isolators.of_image(
            section.isolators, trusted=record is not None and bool(record.signers)
        )
        if section.supplementary_gids:
            words["groups"] = [str(gid) for gid in section.supplementary_gids]
        return _changed(
            app, security=_under(app.security, words), resources=_limits_under(app.resources, limits)
        )
    except CarobError as error:
        raise about(f"image {app.image}", error) from error.__cause__


def _under(security: Security | None, words: dict[str, Any]) -> Security | None:
    """What an image asks for, under what was given: a privileged app asks for nothing else."""
    from carob.engine.request.security import Security

    given = {} if security is None else security.given()
    if not words or given.get("privileged"):
        return security
    if _CAPABILITIES.intersection(given):
        words = {name: value for name, value in words.items() if name not in _CAPABILITIES}
    if "groups" in words:
        given["groups"] = (*words["groups"], *given.get("groups", ()))
    return Security(**{**words, **given})


def _limits_under(resources: Resources | None, limits: dict[str, Any]) -> Resources | None:
    from carob.engine.request.resources import Resources

    if not limits:
        return resources
    given = {} if resources is None else resources.given()
    own = Resources(**limits).given()
    for group in _GROUPS_OF_LIMITS:
        if any(name in given for name in group):
            own = {name: value for name, value in own.items() if name not in group}
    return Resources(**{**own, **given})

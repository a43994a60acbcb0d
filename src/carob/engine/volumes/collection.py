"""``Engine.volumes``: directories with names that outlive pods."""

from __future__ import annotations

import os

from carob.engine.failures import Attempt
from carob.engine.request import inputs
from carob.engine.request.mounts import check_volume_name
from carob.engine.volumes import store
from carob.errors import CarobError, Conflict, NotFound
from carob.image.files.durable import sync_directory
from carob.linux.mount_table import points_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping

    from carob.image.files.locks import Lock


class VolumeSummary:
    """A named volume: its ``name``, ``path`` (the directory that apps see), ``created_ns`` (since 1970),
    ``labels``, and ``used_by``, the uuids of pods.

    ``fresh`` says that no pod has used it yet. ``problem`` says what is wrong with one that cannot be read.
    """

    __slots__ = ("created_ns", "fresh", "labels", "name", "path", "problem", "used_by")

    def __init__(self, name: str, path: str, used_by: tuple[str, ...], *, fresh: bool) -> None:
        self.name = name
        self.path = path
        self.used_by = used_by
        self.fresh = fresh
        self.created_ns: int | None = None
        self.labels: dict[str, str] = {}
        self.problem = ""

    def __repr__(self) -> str:
        return f"VolumeSummary({self.name!r}, used_by={list(self.used_by)!r})"


class VolumesCollected:
    """What one collection did: the names of volumes ``removed``, and ``problems``, one line each."""

    __slots__ = ("problems", "removed")

    def __init__(self, removed: list[str], problems: list[str]) -> None:
        self.removed = removed
        self.problems = problems

    def __repr__(self) -> str:
        return f"VolumesCollected(removed={self.removed}, problems={self.problems})"


class Volumes:
    """The named volumes of a data directory. Each call works on its own; threads may share the object."""

    def __init__(self, data_dir: str) -> None:
        self.data_dir = data_dir

    def __repr__(self) -> str:
        return f"Volumes({self.data_dir!r})"

    def create(self, name: str, *, labels: Mapping[str, str] | None = None) -> VolumeSummary:
        """Makes a volume, empty until its first use. ``Conflict`` where the name is taken."""
        check_volume_name(name)
        found = inputs.texts(labels, "labels")
        with Attempt(f"the volume {name} cannot be made"):
            record = store.create(self.data_dir, name, found)
        made = VolumeSummary(name, store.data_path(self.data_dir, name), (), fresh=True)
        made.created_ns, made.labels = record.created_ns, record.labels
        return made

    def get(self, name: str) -> VolumeSummary:
        """One volume. ``NotFound``, ``CorruptData``."""
        check_volume_name(name)
        with Attempt(f"the volume {name} cannot be looked at"):
            store.read_record(self.data_dir, name)
            summary = self._summary(name, _users(self.data_dir, to_show=True))
        if summary.problem:
            raise NotFound(f"there is no volume {name}", hint="carob volume list shows the volumes")
        return summary

    def list(self) -> list[VolumeSummary]:
        """All volumes, by name; one that cannot be read has a ``problem``."""
        with Attempt("the volumes cannot be listed"):
            names = store.names(self.data_dir)
            users = _users(self.data_dir, to_show=True) if names else {}
            return [self._summary(name, users) for name in names]

    def _summary(self, name: str, users: dict[str, builtins.list[str]]) -> VolumeSummary:
        path = f"{store.top(self.data_dir)}/{name}"
        fresh = os.path.lexists(f"{path}/{store.FRESH}")
        summary = VolumeSummary(name, f"{path}/data", tuple(users.get(name, ())), fresh=fresh)
        try:
            record = store.read_record(self.data_dir, name)
        except CarobError as error:
            summary.problem = error.message
        else:
            summary.created_ns, summary.labels = record.created_ns, record.labels
        return summary

    def remove(self, name: str) -> None:
        """Removes a volume with all that is in it.

        ``NotFound``; ``Conflict`` while a pod uses it, is being prepared with it, or has run with it and is
        still there, and where something is mounted in it.
        """
        check_volume_name(name)
        with Attempt(f"the volume {name} cannot be removed"):
            held = store.try_exclusive(self.data_dir, name)
            if held is None:
                raise Conflict(f"the volume {name} is being used, or removed by another", hint="try again")
            with held:
                if uuids := _users(self.data_dir).get(name):
                    words = ", ".join(uuids[:3]) + (", …" if len(uuids) > 3 else "")
                    raise Conflict(
                        f"the volume {name} is in use by pod{'s' if len(uuids) > 1 else ''} {words}",
                        hint="remove the pods first: carob rm",
                    )
                self._remove(name, held)

    def _remove(self, name: str, held: Lock) -> None:
        path = store.path(self.data_dir, name)
        _refuse_mounts(name, os.path.realpath(path))
        # Renamed away it is gone, whatever happens to the rest; gc finishes that.
        os.rename(path, f"{store.top(self.data_dir)}/{store.TEMPORARY}/{os.urandom(8).hex()}")
        sync_directory(store.top(self.data_dir))
        store.remove_workplace(held)

    def gc(self, *, unused: bool = False, labels: Mapping[str, str] | None = None) -> VolumesCollected:
        """Removes what killed processes left of volumes; with ``unused`` also the volumes that no pod uses,
        and of those only the ones with all of ``labels``.
        """
        inputs.flag(unused, "unused")
        wanted = inputs.texts(labels, "labels")
        with Attempt("the volumes cannot be collected"):
            problems = self._collect_leftovers()
            removed = []
            for volume in self.list() if unused else ():
                if volume.problem:
                    problems.append(volume.problem)
                elif not volume.used_by and wanted.items() <= volume.labels.items():
                    try:
                        self.remove(volume.name)
                    except (Conflict, NotFound):
                        continue  # a pod, or another collection, was quicker
                    except CarobError as error:
                        problems.append(error.message)
                    else:
                        removed.append(volume.name)
        return VolumesCollected(removed, problems)

    def _collect_leftovers(self) -> builtins.list[str]:
        from carob.image.files.locks import lock

        directory = f"{store.top(self.data_dir)}/{store.TEMPORARY}"
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            return []
        problems = []
        for name in names:
            try:
                held = lock(f"{directory}/{name}", exclusive=True, wait=False)
                if held is not None:
                    with held:
                        _refuse_mounts(name, os.path.realpath(f"{directory}/{name}"))
                        store.remove_workplace(held)
            except FileNotFoundError:
                continue
            except OSError as error:
                problems.append(f"{directory}/{name}: {error.strerror}")
            except CarobError as error:
                problems.append(error.message)
        return problems


def _users(data_dir: str, *, to_show: bool = False) -> dict[str, list[str]]:
    from carob.engine.volumes.uses import users

    return users(data_dir, to_show=to_show)


def _refuse_mounts(name: str, path: str) -> None:
    """What somebody has mounted in a volume is not carob's to delete."""
    if points := points_below(path):
        raise Conflict(f"{points[0]} in the volume {name} is a mount point", hint="unmount it first")

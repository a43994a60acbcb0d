"""Copying between an app and its caller."""

from __future__ import annotations

import errno
import os
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from carob.engine.copy import places, roots
from carob.engine.copy.members import Tree, of_tar
from carob.engine.copy.target import to_tar, to_tree
from carob.engine.observe.owners import SAME, Owners
from carob.engine.request import inputs
from carob.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carob.pod import Pod

_HERE = places.Files(None, "here")


def copy_in(pod: Pod, app: str, source: str | int, path: str, *, follow_links: bool) -> None:
    """Copies a file or directory of the caller's, or what an open tar has, to ``path`` in a running app."""
    with roots.opened(pod, app, writing=True) as (root_fd, owners):
        files = places.Files(root_fd, f"in app {app}")
        to = _path_in_app(path)
        if isinstance(source, int):
            with _writing_to(app, path), places.target(files, to, None) as (base_fd, _), _as_root_of(owners):
                tar = of_tar(source, "the tar to copy")
                to_tree(tar, base_fd, owners=owners, trusted=True, keeps_owners=_may_give_away())
            return
        with (
            places.source(
                _HERE, os.fsencode(source), follow_links=inputs.flag(follow_links, "follow_links")
            ) as copied,
            _writing_to(app, path),
            places.target(files, to, copied) as (base_fd, name),
            _as_root_of(owners),
        ):
            members = Tree(copied.dir_fd, copied.name, name)
            to_tree(members, base_fd, owners=owners, trusted=True, keeps_owners=_may_give_away())


def copy_out(pod: Pod, app: str, path: str, target: str | int, *, follow_links: bool) -> None:
    """Copies ``path`` of an app to a path of the caller's, or writes it as a tar to an open file."""
    with roots.opened(pod, app, writing=False) as (root_fd, owners):
        files = places.Files(root_fd, f"in app {app}")
        with places.source(
            files, _path_in_app(path), follow_links=inputs.flag(follow_links, "follow_links")
        ) as copied:
            if isinstance(target, int):
                name = b"" if copied.contents else copied.own_name
                to_tar(Tree(copied.dir_fd, copied.name, name, owners), target)
                return
            if copied.is_device:
                raise InvalidInput(f"{path!r} is a device: none of an app's is made here")
            with places.target(_HERE, os.fsencode(target), copied) as (base_fd, name):
                members = Tree(copied.dir_fd, copied.name, name, owners)
                to_tree(members, base_fd, trusted=False, keeps_owners=_may_give_away())


@contextmanager
def _writing_to(app: str, path: str) -> Iterator[None]:
    """A file system that the app itself may not write to is nothing to mend about the data directory."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise Conflict(
            f"{path} is read-only in app {app}", hint="copy to a volume that it may write to"
        ) from error


def _as_root_of(owners: Owners) -> AbstractContextManager[None]:
    """Acts as who is root in the app, where that is another."""
    if owners is SAME or os.geteuid() != 0 or owners.outside(0, 0) == (0, 0):
        return nullcontext()
    from carob.linux.acting import acting_as

    return acting_as(*owners.outside(0, 0))


def _may_give_away() -> bool:
    """Whether files can get other owners than this process's."""
    return os.geteuid() == 0


def _path_in_app(path: str) -> bytes:
    if not inputs.path(path, "the path in the app").startswith("/"):
        raise InvalidInput(f"{path!r} is no path of an app", hint=f"begin it with /: /{path}")
    return os.fsencode(path)

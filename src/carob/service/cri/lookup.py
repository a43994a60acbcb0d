"""From CRI's ids to pods and apps."""

from __future__ import annotations

from carob.engine.sandbox import views
from carob.errors import InvalidInput, NotFound
from carob.service.cri.ids import container_id, is_beginning, pod_of_container, pod_uuid, sandbox_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from carob.engine.observe.status import AppStatus, PodStatus

    T = TypeVar("T")


def sandbox(data_dir: str, identifier: str) -> PodStatus:
    """The sandbox with this id, or the one whose id begins so. Raises ``NotFound``, ``InvalidInput``."""
    try:
        return views.one(data_dir, pod_uuid(identifier))
    except NotFound:
        pass
    _check(identifier, "sandbox")
    found = [one for one in views.each(data_dir) if is_beginning(identifier, sandbox_id(one.uuid))]
    return _only(found, identifier, "sandbox")


def container(data_dir: str, identifier: str) -> tuple[PodStatus, AppStatus]:
    """The container with this id, or the one whose id begins so, and its sandbox. Raises as ``sandbox``."""
    try:
        view = views.one(data_dir, pod_of_container(identifier))
    except NotFound:
        _check(identifier, "container")
        among = list(views.each(data_dir))
    else:
        among = [view]
    found = [
        (one, app)
        for one in among
        for app in one.apps
        if is_beginning(identifier, container_id(one.uuid, app.name))
    ]
    return _only(found, identifier, "container")


def _check(identifier: str, what: str) -> None:
    if not identifier:
        raise InvalidInput(f"no {what} is asked for: its id is empty")


def _only(found: list[T], identifier: str, what: str) -> T:
    if not found:
        raise NotFound(f"there is no {what} {identifier!r}")
    if len(found) > 1:
        raise InvalidInput(f"{identifier!r} is the beginning of {len(found)} ids", hint="give more of it")
    return found[0]

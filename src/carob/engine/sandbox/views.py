"""Mutable pods as programs look at them that manage many."""

from __future__ import annotations

import os
import time

from carob.engine.end import stop
from carob.engine.failures import Attempt
from carob.engine.observe import status
from carob.engine.observe.pods import summaries
from carob.engine.observe.status import AppStatus, PodStatus
from carob.errors import CarobError, CorruptData, InvalidInput, NotFound
from carob.linux.files import read_file
from carob.pod import State, layout, open_pod
from carob.pod.directory import directory_path
from carob.pod.state import directory_of, is_after_run
from carob.protocol import life
from carob.protocol import plan as plans
from carob.protocol.compact_json import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from carob.engine.observe.pods import AppSummary, PodSummary
    from carob.pod import Pod

_STARTING = frozenset((State.EMBRYO, State.PREPARING, State.PREPARED))
_PAUSE_S = 0.02
_RECORD, _STARTED, _NOTE, _PLAN = (
    os.path.basename(path("app"))
    for path in (plans.exit_record, plans.start_mark, plans.life_note, plans.app_plan)
)


def one(data_dir: str, uuid: str) -> PodStatus:
    """The mutable pod with this whole uuid, running or ended. Raises ``NotFound``."""
    with Attempt(f"pod {uuid} cannot be looked at", uuid), open_pod(data_dir, uuid) as pod:
        found = _read(pod)
    if found is None:
        raise NotFound(f"there is no sandbox {uuid}")
    return found


def each(data_dir: str) -> Iterator[PodStatus]:
    """Every mutable pod, running or ended, in order of uuid, at the price of its manifest and a look or two
    an app: without networks, ends, and all other times than those of creation and start.
    """
    with Attempt("the pods cannot be listed"):
        for summary in summaries(data_dir, None):
            if not summary.mutable or not (summary.state is State.RUNNING or is_after_run(summary.state)):
                continue
            found = _brief(data_dir, summary)
            if found.created_ns is None:  # it has moved on since, perhaps while it was looked at
                try:
                    found = one(data_dir, summary.uuid)
                except (NotFound, CorruptData):
                    continue
            yield found


def _brief(data_dir: str, summary: PodSummary) -> PodStatus:
    directory = directory_of(summary.state)
    assert directory is not None  # it was found in one
    place = f"{directory_path(data_dir, directory)}/{summary.uuid}"
    is_live = summary.state is State.RUNNING
    apps = tuple([_app(f"{place}/{plans.bundle_directory(app.name)}", app, is_live) for app in summary.apps])
    found = PodStatus(summary.uuid, summary.name, summary.state, apps)
    found.mutable = True
    found.labels, found.annotations = summary.labels, summary.annotations
    found.created_ns = _modified_ns(f"{place}/{layout.CREATED}")
    return found


def _app(place: str, summary: AppSummary, is_live: bool) -> AppStatus:
    started_ns = None
    if not is_live or os.path.lexists(f"{place}/{_RECORD}"):
        state = life.ENDED
    else:
        started_ns = _started_ns(f"{place}/{_STARTED}")
        has_begun = started_ns is not None or os.path.lexists(f"{place}/{_NOTE}")
        state = life.RUNNING if has_begun else life.CREATED
    found = AppStatus(summary.name, summary.image, summary.image_id, state, None, started_ns, None)
    found.labels, found.annotations = summary.labels, summary.annotations
    found.created_ns = _modified_ns(f"{place}/{_PLAN}")
    return found


def _modified_ns(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _started_ns(path: str) -> int | None:
    try:
        noted = os.readlink(path)
    except OSError:
        return None
    return int(noted) if noted.isascii() and noted.isdecimal() else None


def _read(pod: Pod) -> PodStatus | None:
    if pod.state() is not State.RUNNING and not pod.is_after_run():
        return None
    found = status.read(pod)
    return found if found.mutable else None


def is_running(pod: PodStatus) -> bool:
    """Whether the pod runs."""
    return pod.state is State.RUNNING


def is_there(data_dir: str, uuid: str) -> bool:
    """Whether there is a pod of this uuid, in any state, as far as can be told."""
    try:
        with open_pod(data_dir, uuid):
            return True
    except (NotFound, InvalidInput):
        return False
    except (CarobError, OSError):
        return True


def settled(data_dir: str, uuid: str, *, patience_s: float) -> PodStatus | None:
    """A pod that somebody began to make who may be gone, once it runs or has ended; ``None`` where it does
    neither by then, or is gone. What is left of such a one is taken away.

    A supervisor that was told to go on does so whatever becomes of its caller.
    """
    deadline = time.monotonic() + patience_s
    with Attempt(f"pod {uuid} cannot be looked at", uuid):
        while True:
            try:
                with open_pod(data_dir, uuid) as pod:
                    found = _read(pod)
                    if found is not None:
                        return found
                    if pod.state() not in _STARTING or time.monotonic() > deadline:
                        stop.remove(pod, data_dir, force=True)
                        return None
            except NotFound:
                return None
            time.sleep(_PAUSE_S)


def configuration(data_dir: str, uuid: str, app: str) -> dict[str, Any]:
    """The configuration that the runtime has of an app (OCI's, with what was updated since); empty where it
    cannot be told.
    """
    try:
        with open_pod(data_dir, uuid) as pod:
            found = loads(read_file(f"{plans.bundle_directory(app)}/config.json", dir_fd=pod.fd()))
    except (CarobError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

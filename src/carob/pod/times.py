"""When things happened to a pod, from the times of its files, in nanoseconds since 1970.

``None`` stands where rkt has the zero time: it has not happened.
"""

from __future__ import annotations

import os

from carob.pod import layout
from carob.pod.failure import failed
from carob.pod.state import Directory, State, directory_of, is_after_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from carob.pod.pod import Pod

_GARBAGE = (Directory.EXITED_GARBAGE, Directory.GARBAGE)


def creation_time_ns(pod: Pod) -> int | None:
    """See ``Pod.creation_time``: the time of ``pod-created``, of ``pod`` in pods of rkt before 1.20."""
    state = pod.state()
    if state not in (State.PREPARED, State.RUNNING) and not is_after_run(state):
        return None
    created = _modified_ns(pod, layout.CREATED)
    if created is None:
        try:
            return os.stat(layout.MANIFEST, dir_fd=pod.fd()).st_mtime_ns
        except OSError as error:
            raise failed(error, f"cannot tell when pod {pod.uuid} was made") from error
    return created


def start_time_ns(pod: Pod) -> int | None:
    """See ``Pod.start_time``: the time of ``pid``, or else of ``ppid``."""
    state = pod.state()
    if state is not State.RUNNING and not is_after_run(state):
        return None
    started = _modified_ns(pod, layout.PID)
    return _modified_ns(pod, layout.PPID) if started is None else started


def gc_marked_time_ns(pod: Pod) -> int | None:
    """See ``Pod.gc_marked_time``: the change time of the directory, which its last rename set."""
    if directory_of(pod.state()) not in _GARBAGE:
        return None
    try:
        return os.lstat(pod.path()).st_ctime_ns
    except FileNotFoundError:
        return None
    except OSError as error:
        raise failed(error, f"cannot tell when pod {pod.uuid} was marked") from error


def _modified_ns(pod: Pod, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=pod.fd()).st_mtime_ns
    except FileNotFoundError:
        return None
    except OSError as error:
        raise failed(error, f"cannot look at {name} of pod {pod.uuid}") from error


def as_datetime(time_ns: int | None) -> datetime | None:
    """``time_ns`` as a time in UTC, to the microsecond below."""
    if time_ns is None:
        return None
    from datetime import UTC, datetime, timedelta

    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)

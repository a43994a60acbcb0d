"""Where the logs of apps are that were added to a pod with a log path of their own."""

from __future__ import annotations

import os

from carob.engine.observe.status import annotation, app_entries
from carob.engine.request.life import LOG_PATH
from carob.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from carob.pod import Pod

SUFFIX = ".log"


def open_places(pod: Pod, apps: Collection[str]) -> dict[str, tuple[int, str]]:
    """The open directory and the file's name of each such log, by the name that it would have in the pod.

    The caller closes the directories. Raises ``NotFound`` for one that is not there.
    """
    found: dict[str, tuple[int, str]] = {}
    try:
        for entry in app_entries(pod):
            path = annotation(entry, LOG_PATH)
            if path and entry["name"] in apps:
                directory, name = os.path.split(path)
                opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                found[f"{entry['name']}{SUFFIX}"] = opened, name
    except FileNotFoundError as error:
        close_places(found)
        raise NotFound(f"the directory {error.filename} of a log is gone") from error
    except BaseException:
        close_places(found)
        raise
    return found


def close_places(places: dict[str, tuple[int, str]]) -> None:
    """Closes the directories."""
    for directory, _ in places.values():
        os.close(directory)

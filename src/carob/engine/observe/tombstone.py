"""The record of a pod's end that outlives its directory: ``<data dir>/ended/<uuid>.json``.

Written before the pod is deleted, kept for a day, so that whoever waited for the pod, or asks after
it by uuid, still learns how it ended.
"""

from __future__ import annotations

import os
import time

from carob.engine.failures import is_shortage
from carob.engine.observe import status as statuses
from carob.engine.observe.views import pod_document
from carob.errors import CarobError
from carob.linux.files import make_directory_durably, read_file, write_file_durably
from carob.pod.identifier import fault_of
from carob.protocol.compact_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carob.pod import Pod

DIRECTORY = "ended"
KEEP_S = 24 * 3600.0


def write(pod: Pod, data_dir: str) -> None:
    """Writes the record of an ended pod. A full disk does not keep the pod from being removed.

    Raises ``OutOfResources`` or ``OSError`` where descriptors or memory were short, which may soon be over.
    """
    directory = os.path.join(data_dir, DIRECTORY)
    try:
        document = pod_document(statuses.read(pod))
        make_directory_durably(directory, 0o750)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            write_file_durably(f"{pod.uuid}.json", (dumps(document) + "\n").encode(), dir_fd=descriptor)
        finally:
            os.close(descriptor)
    except (OSError, CarobError) as error:
        if is_shortage(error):
            raise


def read(data_dir: str, uuid: str) -> dict[str, Any] | None:
    """The record of the pod of this whole uuid; ``None`` where there is none (any more)."""
    if fault_of(uuid):
        return None
    try:
        document = loads(read_file(os.path.join(data_dir, DIRECTORY, f"{uuid}.json")))
    except (OSError, ValueError) as error:
        if is_shortage(error):
            raise
        return None
    return document if isinstance(document, dict) else None


def expire(data_dir: str, *, keep_s: float = KEEP_S) -> int:
    """Deletes records older than ``keep_s``; returns how many."""
    count = 0
    oldest = time.time() - keep_s
    try:
        entries = list(os.scandir(os.path.join(data_dir, DIRECTORY)))
    except FileNotFoundError:
        return 0
    for entry in entries:
        try:
            if entry.stat(follow_symlinks=False).st_mtime < oldest:
                os.unlink(entry.path)
                count += 1
        except OSError:
            continue
    return count

"""What a supervisor has to say, in ``carob/supervisor.log``: bounded, one line each."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIMIT_BYTES = 65536


def note(text: str) -> None:
    """Adds a line with the time; once the log is full, nothing."""
    try:
        if os.fstat(2).st_size >= LIMIT_BYTES:
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.write(2, f"{now} {' '.join(text.split())[:2000]}\n".encode("utf-8", "replace"))
    except OSError:
        return


def told(error: BaseException) -> dict[str, Any]:
    """What whoever started the pod is told of a failure that ends it: a system call's with its number."""
    if isinstance(error, OSError) and error.errno and error.strerror:
        said = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
        return {"event": "failed", "errno": error.errno, "message": said}
    return {"event": "failed", "message": f"{type(error).__name__}: {error}"}


def note_failure(where: str, error: BaseException) -> None:
    """Adds where and why something failed, with the lines of code it went through."""
    trail = []
    traceback = error.__traceback__
    while traceback is not None:
        trail.append(f"{traceback.tb_frame.f_code.co_name}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    note(f"{where}: {type(error).__name__}: {error} [{' > '.join(trail)}]")

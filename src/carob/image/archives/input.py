"""Opening an archive that the caller named."""

from __future__ import annotations

import os
import stat

from carob.errors import InvalidInput, NotFound
from carob.image.failures import translate


def open_input(path: str) -> int:
    """Opens a file (or a pipe) for reading; links are followed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"there is no {path}") from error
    except OSError as error:
        raise translate(error, f"opening {path}") from error
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        os.close(fd)
        raise InvalidInput(f"{path} is not a file")
    return fd

"""A pod's identifier in a file of its own, for scripts (``--uuid-file-save``)."""

from __future__ import annotations

import os

from carob.errors import CorruptData
from carob.linux.files import read_file, write_all
from carob.pod.failure import failed
from carob.pod.number import SPACE

# What Go's bytes.TrimSpace takes off
_SPACE = SPACE + "\n"


def read_uuid_from_file(path: str | os.PathLike[str]) -> str:
    """What the file holds, without the space around it; it is not checked, as it may be a prefix.

    Raises ``NotFound`` and its like where the file cannot be read, ``CorruptData`` if it is not text.
    """
    try:
        raw = read_file(os.fspath(path))
    except OSError as error:
        raise failed(error, f"cannot read the identifier in {path}") from error
    try:
        return raw.decode().strip(_SPACE)
    except UnicodeDecodeError as error:
        raise CorruptData(f"{path} does not hold text", hint="name the file that was written") from error


def write_uuid_to_file(uuid: str, path: str | os.PathLike[str]) -> None:
    """Writes the identifier, without a line end, over what the file held; mode 0644 less the umask.

    In place, as rkt does: ``path`` may be ``/dev/stdout``, a pipe or a link. Raises ``NotFound`` and its
    like where that cannot be done.
    """
    try:
        fd = os.open(os.fspath(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            write_all(fd, str(uuid).encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise failed(error, f"cannot write the identifier to {path}") from error

"""Carrying the contents of a pod's files from whoever starts the pod to its init, in a file in memory.

``carob.protocol.contents`` says how they stand in it. Nothing of them is written to disk.
"""

from __future__ import annotations

import os

from carob.engine.request.mounts import LONGEST_FILE_BYTES
from carob.errors import InvalidInput, NotFound
from carob.linux.files import write_all
from carob.pod.failure import failed
from carob.protocol.contents import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def carry(files: Sequence[tuple[bytes | None, str | None]]) -> int:
    """A file in memory with the contents of ``files``, each given or to be read at a path of the host.

    The caller closes the descriptor. Raises ``NotFound``, ``InvalidInput`` for what is too long, and such.
    """
    contents = [_read(str(source)) if content is None else content for content, source in files]
    descriptor = os.memfd_create("files", os.MFD_CLOEXEC)
    try:
        write_all(descriptor, pack(contents))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _read(source: str) -> bytes:
    """The content of a file, or of a pipe until its end; never waits for a FIFO that nobody writes to."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.set_blocking(descriptor, True)
            found = b""
            while piece := os.read(descriptor, 1 << 20):
                found += piece
                if len(found) > LONGEST_FILE_BYTES:
                    raise InvalidInput(
                        f"the file {source} is longer than {LONGEST_FILE_BYTES} bytes",
                        hint="mount it instead",
                    )
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise NotFound(f"the file {source} is not there", hint="make it first") from error
    except OSError as error:
        raise failed(error, f"the file {source} cannot be read") from error
    return found

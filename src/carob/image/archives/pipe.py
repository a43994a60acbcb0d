"""Stacked layers as the tar that comes out of a pipe, packed meanwhile by whose hands may read them."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from carob.image.files.merged import Owners, pack_layers
from carob.image.layers.hands import borrowed

_PIPE_BYTES = 1 << 20


def pack(layers: Sequence[str], fd: int, owners: Owners | None = None) -> None:
    """Writes the tar of what overlayfs would show of ``layers`` (directories, top first) to an open file.

    ``owners``, which only root has, turns a file's user and group into those that the tar has.
    """
    if owners is not None:
        from carob.image.files.durable import write_all

        pack_layers(layers, lambda data: write_all(fd, data), owners)
        return
    with borrowed() as hands:
        hands.pack(layers, fd)


@contextmanager
def packed(layers: Sequence[str], owners: Owners | None = None) -> Iterator[int]:
    """Within the block, the open end of a pipe to read the tar of what overlayfs would show of ``layers``
    (directories, top first) from. Raises what went wrong with the packing, if that was first.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            pack(layers, writer, owners)
        except BaseException as error:  # noqa: BLE001 - raised by who reads
            failures.append(error)
        finally:
            os.close(writer)  # after the failure is noted: then the reader sees the end

    _widen(reader)
    thread = threading.Thread(target=run, name="carob-pack")
    thread.start()
    try:
        yield reader
    except BaseException:
        if failures:
            raise failures[0] from None
        raise
    finally:
        os.close(reader)
        thread.join()
    if failures:
        raise failures[0]


def _widen(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        pass  # a user's pipes have used up what they may have: it is slower then

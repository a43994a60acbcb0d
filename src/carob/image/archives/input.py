"""Opening an archive that the caller named."""

from __future__ import annotations

import errno
import os
import select
import stat
from contextlib import ExitStack, contextmanager

from carob.errors import InvalidInput, NotFound
from carob.image.failures import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from carob.image.cancel import Cancellation
    from carob.image.compression import Reader

STDIN = "/dev/stdin"


@contextmanager
def cancellable_input(path: str, cancel: Cancellation) -> Iterator[tuple[int, Reader]]:
    """The same with what reads it: ``Cancelled`` once that is called off, even if nobody ever writes."""
    woken, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    with ExitStack() as stack:
        stack.callback(os.close, woken)
        stack.callback(os.close, waker)
        stack.enter_context(cancel.calls(lambda: os.write(waker, b"x")))
        fd = open_input(path, flags=os.O_NONBLOCK)  # opening a fifo would wait for who writes to it
        stack.callback(os.close, fd)
        os.set_blocking(fd, True)
        waiting = select.poll()
        waiting.register(fd, select.POLLIN)
        waiting.register(woken, select.POLLIN)

        def read(size: int) -> bytes:
            waiting.poll()
            cancel.check()
            return os.read(fd, size)

        yield fd, read


def open_input(path: str, *, flags: int = 0) -> int:
    """Opens a file (or a pipe, or the socket that standard input may be) for reading; links are followed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    except FileNotFoundError as error:
        raise NotFound(f"there is no {path}") from error
    except OSError as error:
        if error.errno == errno.ENXIO and path == STDIN:  # a socket, as of ssh: only a copy of it can be had
            return os.dup(0)
        raise translate(error, f"opening {path}") from error
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        os.close(fd)
        raise InvalidInput(f"{path} is not a file")
    return fd

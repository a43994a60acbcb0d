"""A blob as a stream that goes on where it broke off."""

from __future__ import annotations

import random
import threading

from carob.errors import CorruptData, InvalidInput, TimedOut, Unavailable
from carob.image.registry.retries import back_off_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carob.image.registry.answer import Answer
    from carob.image.registry.client import Registry
    from carob.image.registry.limits import Limits
    from carob.spec.oci.descriptor import Descriptor

_PROGRESS_BYTES = 1 << 20
"""After so many bytes the failures before them are forgotten."""
_SKIP_BYTES = 1 << 18


def begin_blob(
    registry: Registry, repository: str, descriptor: Descriptor, offset: int
) -> tuple[Answer, int]:
    """The answer that brings a blob from ``offset`` on, or, where the registry cannot, from 0 on; and which.

    ``CorruptData`` where the registry has a blob of another size.
    """
    what = registry.name(repository, descriptor.digest)
    answer = registry.get_blob(repository, descriptor.digest, offset)
    if answer.status == 206 and _content_range(answer) != (offset, descriptor.size_bytes):
        answer.close()  # it lies about what it sends, or did not understand
        answer = registry.get_blob(repository, descriptor.digest)
    elif answer.status == 416:
        answer.discard()
        answer = registry.get_blob(repository, descriptor.digest)
    start = offset if answer.status == 206 else 0
    length = answer.length()
    if (
        length is not None
        and length != descriptor.size_bytes - start
        and not answer.header("Content-Encoding")
    ):
        answer.close()
        raise CorruptData(f"{what}: the registry sends {length} bytes, not {descriptor.size_bytes - start}")
    return answer, start


def _content_range(answer: Answer) -> tuple[int, int] | None:
    """First byte and size of the whole of an answer to a request without end (RFC 9110, 14.4)."""
    unit, _, value = answer.header("Content-Range").strip().partition(" ")
    span, slash, size = value.strip().partition("/")
    first, dash, last = span.partition("-")
    numbers = (first, last, size)
    if unit.lower() != "bytes" or not slash or not dash:
        return None
    if not all(number.isascii() and number.isdigit() and len(number) < 19 for number in numbers):
        return None
    if int(last) != int(size) - 1:
        return None
    return int(first), int(size)


class BlobStream:
    """Reads a blob, by `carob.image.sources.source.BlobReader`; never more bytes than its descriptor says.

    ``begin`` gives an answer from a position on, or from 0 on, as `begin_blob`. One thread reads; any may
    close.
    """

    __slots__ = (
        "_answer",
        "_arrived_bytes",
        "_begin",
        "_came",
        "_closed",
        "_failures",
        "_limits",
        "_name",
        "_position",
        "_reading",
        "_size",
        "offset",
    )

    offset: int

    def __init__(
        self,
        begin: Callable[[int], tuple[Answer, int]],
        descriptor: Descriptor,
        offset: int,
        *,
        name: str,
        limits: Limits,
    ) -> None:
        if not 0 <= offset <= descriptor.size_bytes:
            raise InvalidInput(f"{name}: there is no byte {offset} in {descriptor.size_bytes} bytes")
        self._begin = begin
        self._name = name
        self._limits = limits
        self._size = descriptor.size_bytes
        self._closed = threading.Event()
        self._reading = threading.Lock()
        self._failures = 0
        self._arrived_bytes = 0
        self._answer: Answer | None = None
        self.offset = offset
        if offset < self._size:
            self._answer, self.offset = begin(offset)
        self._position = self._came = self.offset

    def __repr__(self) -> str:
        return f"BlobStream({self._name!r}, at {self._position} of {self._size})"

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; ``b""`` only at the end. Breaks are mended: what comes through is
        ``Unavailable`` or ``TimedOut`` after too many of them, and ``CorruptData``.
        """
        with self._reading:
            try:
                return self._read(size)
            finally:
                if self._closed.is_set():
                    self._let_go()

    def close(self) -> None:
        """Ends it: a ``read`` under way fails. Does not wait for that."""
        self._closed.set()
        answer = self._answer
        if answer is not None:
            answer.cut()
        if self._reading.acquire(blocking=False):
            try:
                self._let_go()
            finally:
                self._reading.release()

    def _let_go(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    def _read(self, size: int) -> bytes:
        while self._position < self._size:
            if self._answer is None:
                self._resume()  # has been tried often enough where it fails
            self._check_open()
            try:
                piece = self._piece(min(size, self._size - self._position))
            except (Unavailable, TimedOut) as error:
                self._check_open()
                self._let_go()
                self._fail(error)
                continue
            if piece:
                return piece
        return b""

    def _resume(self) -> None:
        """Asks for the rest. A registry that sends all again is listened to until what is new comes."""
        self._answer, self._came = self._begin(self._position)

    def _piece(self, size: int) -> bytes:
        """The next bytes that are new; ``b""`` where what came is known already."""
        assert self._answer is not None
        if self._came < self._position:
            size = min(_SKIP_BYTES, self._position - self._came)
        piece = self._answer.read(size)
        if not piece and size:
            raise Unavailable(
                f"{self._name} ended after {self._came} of {self._size} bytes", hint="try again"
            )
        self._came += len(piece)
        if self._came <= self._position:
            return b""
        self._position = self._came
        self._arrived_bytes += len(piece)
        if self._arrived_bytes >= _PROGRESS_BYTES:
            self._failures = 0
        if self._position == self._size:
            self._let_go()
        return piece

    def _fail(self, error: Unavailable | TimedOut) -> None:
        self._failures += 1
        self._arrived_bytes = 0
        if self._failures >= self._limits.attempts:
            raise error
        self._closed.wait(back_off_s(self._failures, self._limits, random.random))

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise Unavailable(f"{self._name}: the reading was given up", hint="it was closed meanwhile")

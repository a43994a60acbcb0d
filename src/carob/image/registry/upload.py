"""One blob on its way to a registry (distribution-spec, "Pushing blobs").

Small blobs go in one request. Large ones go in chunks: what broke off is gone on with where the registry says
that it is. A registry that has no chunks, or has lost the upload, gets all of it from the beginning.
"""

from __future__ import annotations

import random
from enum import Enum

from carob.errors import (
    CarobError,
    CorruptData,
    NotFound,
    PermissionDenied,
    Rejected,
    TimedOut,
    Unavailable,
    Unsupported,
)
from carob.image.failures import translate
from carob.image.registry.client import pull_scope, push_scope
from carob.image.registry.requester import Request
from carob.image.registry.retries import back_off_s
from carob.image.registry.urls import Url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from carob.image.registry.answer import Answer
    from carob.image.registry.client import Registry
    from carob.image.sources.source import BlobReader
    from carob.spec.oci.descriptor import Descriptor

CHUNK_BYTES = 32 << 20
"""The size of a chunk; blobs of up to two of them go in one request."""

_PIECE_BYTES = 1 << 16
_LARGEST_CHUNK_BYTES = 1 << 30
_OCTETS = "application/octet-stream"


class Outcome(Enum):
    """How a blob came to be on the registry."""

    PRESENT = "present"
    MOUNTED = "mounted"
    UPLOADED = "uploaded"


class Upload:
    """Brings one blob to a repository.

    - ``open_blob``: opens it from a byte on; the reader's ``offset`` has to be that byte.
    - ``mount_from``: repositories of the same registry that may have it.
    - ``progress``: is told how many of its bytes the registry has got; after trouble the number may fall.
    - ``is_over``: is asked while bytes are sent; ``Unavailable`` where it says so.
    """

    def __init__(
        self,
        registry: Registry,
        repository: str,
        descriptor: Descriptor,
        open_blob: Callable[[int], BlobReader],
        *,
        mount_from: tuple[str, ...] = (),
        progress: Callable[[int], object] = lambda _: None,
        is_over: Callable[[], bool] = lambda: False,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self._registry = registry
        self._repository = repository
        self._descriptor = descriptor
        self._open_blob = open_blob
        self._mount_from = mount_from
        self._progress = progress
        self._chunk_bytes = chunk_bytes
        self._what = registry.name(repository, descriptor.digest)
        self._is_over = is_over
        self._readers: list[BlobReader] = []
        self._failures = 0
        self._furthest = 0

    def run(self) -> Outcome:
        """Sees to it that the blob is there. Raises as `Registry`'s methods do, and as ``open_blob``."""
        if self._registry.has_blob(self._repository, self._descriptor.digest, to_push=True):
            return Outcome.PRESENT
        session: Url | None = None
        for source in self._mount_from:
            if source != self._repository:
                is_mounted, session = self._mount(source)
                if is_mounted:
                    return Outcome.MOUNTED
        self._send_all(session)
        return Outcome.UPLOADED

    def _mount(self, source: str) -> tuple[bool, Url | None]:
        """Asks for the blob of another repository: whether it is given; if not, an upload may have begun."""
        self._registry.path(source, "blobs", self._descriptor.digest)  # checks the name
        url = self._begin_url(("mount", self._descriptor.digest), ("from", source))
        scopes = (*push_scope(self._repository), *pull_scope(source))
        try:
            answer = self._send(Request("POST", url, self._what, scopes=scopes, success=(201, 202)))
        except (NotFound, PermissionDenied, Rejected, Unsupported):
            return False, None  # that repository is not to be had, and not needed
        if answer.status == 202:
            return False, self._begun(answer)
        answer.discard()
        return True, None

    def _begin_url(self, *query: tuple[str, str]) -> Url:
        path = self._registry.path(self._repository, "blobs", "uploads")
        return self._registry.url(f"{path}/", *query)

    def _begin(self) -> Url:
        scopes = push_scope(self._repository)
        return self._begun(
            self._send(Request("POST", self._begin_url(), self._what, scopes=scopes, success=(202,)))
        )

    def _begun(self, answer: Answer) -> Url:
        least = answer.header("OCI-Chunk-Min-Length").strip()
        if least.isascii() and least.isdigit():
            self._chunk_bytes = max(self._chunk_bytes, min(int(least[:19]), _LARGEST_CHUNK_BYTES))
        return self._location(answer)

    def _send_all(self, session: Url | None) -> None:
        in_chunks = self._descriptor.size_bytes > 2 * self._chunk_bytes
        while True:
            where = session or self._begin()
            session = None
            try:
                if in_chunks:
                    self._send_chunks(where)
                else:
                    self._send_whole(where)
                return
            except (Unavailable, TimedOut, NotFound) as error:  # not found: the upload was forgotten
                self._fail(error)
            except (Unsupported, Rejected):
                if not in_chunks:
                    raise
                in_chunks = False

    def _send_whole(self, where: Url) -> None:
        size = self._descriptor.size_bytes
        self._finish(where, lambda: self._pieces(0, size), size)

    def _finish(self, where: Url, body: Callable[[], Iterator[bytes]] | None, length: int) -> None:
        request = Request(
            "PUT",
            where.with_query(("digest", self._descriptor.digest)),
            self._what,
            headers={"Content-Type": _OCTETS},
            scopes=push_scope(self._repository),
            success=(201, 204),
            body=body,
            length=length,
            is_document=False,
            is_commit=True,
            once=True,
        )
        self._send(request).discard()
        self._progress(self._descriptor.size_bytes)

    def _send_chunks(self, where: Url) -> None:
        position = 0
        while position < self._descriptor.size_bytes:
            try:
                where, position = self._send_chunk(where, position)
                trouble: CarobError = Unavailable(f"{self._what}: the registry takes nothing more of it")
            except (Unavailable, TimedOut) as error:
                trouble = error
            if position > self._furthest:
                self._furthest = position
                self._failures = 0
            else:  # so that nobody leads it back and forth for ever
                self._fail(trouble)
                where, position = self._status(where)
            self._progress(position)
        self._finish(where, None, 0)

    def _send_chunk(self, where: Url, position: int) -> tuple[Url, int]:
        """Sends one; where the next goes, and how many bytes the registry has then."""
        end = min(position + self._chunk_bytes, self._descriptor.size_bytes)
        request = Request(
            "PATCH",
            where,
            self._what,
            headers={"Content-Type": _OCTETS, "Content-Range": f"{position}-{end - 1}"},
            scopes=push_scope(self._repository),
            success=(202, 201, 204, 416),
            body=lambda: self._pieces(position, end),
            length=end - position,
            is_document=False,
            is_commit=True,
            once=True,
        )
        answer = self._send(request)
        if answer.status == 416:  # it has not got what it was thought to have
            answer.discard()
            raise Unavailable(f"{self._what}: the registry has more or less of it than was sent")
        there = _range_end(answer)
        following = self._location(answer)
        if there is None:
            there = end
        if there > end:
            raise CorruptData(f"{self._what}: the registry says that it has {there} bytes of {end} sent")
        return following, there

    def _status(self, where: Url) -> tuple[Url, int]:
        """Where to go on, and from which byte."""
        scopes = push_scope(self._repository)
        answer = self._send(Request("GET", where, self._what, scopes=scopes, success=(204, 200, 202)))
        there = _range_end(answer)
        if there is None or there > self._descriptor.size_bytes:
            answer.discard()
            raise Unsupported(f"{self._what}: the registry does not say how much of it is there")
        return self._location(answer), there

    def _pieces(self, begin: int, end: int) -> Iterator[bytes]:
        """The blob's bytes as they are sent, told to ``progress`` as they go."""
        try:
            reader = self._open_blob(begin)
            self._readers.append(reader)
            if reader.offset != begin:
                raise CorruptData(f"{self._what}: its bytes begin at {reader.offset}, not at {begin}")
            position = begin
            while position < end:
                if self._is_over():
                    raise Unavailable(f"{self._what}: the upload was given up")
                piece = reader.read(min(_PIECE_BYTES, end - position))
                if not piece:
                    raise CorruptData(f"{self._what}: only {position} of {end} bytes are there to be sent")
                yield piece
                position += len(piece)
                self._progress(position)
        except OSError as error:  # of this machine: the network's are not raised in here
            raise translate(error, self._what) from error

    def _send(self, request: Request) -> Answer:
        try:
            return self._registry.send(request, self._repository)
        finally:
            # Not left to the generator's end, which an exception's traceback may put off.
            while self._readers:
                self._readers.pop().close()

    def _location(self, answer: Answer) -> Url:
        """The address of the upload from here on; the answer is closed."""
        requester = self._registry.requester(self._repository)
        url = requester.resolve(answer, "Location", self._what)
        answer.discard()
        return url

    def _fail(self, error: CarobError) -> None:
        self._failures += 1
        limits = self._registry.limits
        if self._failures >= limits.attempts or self._is_over():
            raise error
        self._registry.transport.wait(back_off_s(self._failures, limits, random.random))


def _range_end(answer: Answer) -> int | None:
    """How many bytes are there by ``Range: 0-<last>``; ``None`` where that is not said.

    ``0-0`` is no byte: so the distribution project says it, and of a single byte no chunk is made.
    """
    first, dash, last = answer.header("Range").strip().removeprefix("bytes=").partition("-")
    if first != "0" or not dash or not (last.isascii() and last.isdigit() and len(last) < 19):
        return None
    return int(last) + 1 if int(last) else 0

"""What a registry answers: status, headers, and the body as a bounded document or as a stream of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carob.errors import CarobError, CorruptData
from carob.image.registry.trouble import troubles
from carob.spec.oci.document import DOCUMENT_BYTES, parse_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3 import HTTPResponse

    from carob.image.registry.pace import Pace
    from carob.image.registry.urls import Url

_PIECE_BYTES = 1 << 16
_DISCARD_BYTES = 1 << 14
_DISCARD_S = 1.0
_LARGEST_BYTES = 1 << 17
"""So much is made room for at once: a socket seldom has more, and TLS has 16 KiB."""


class Answer:
    """One answer. ``url`` is what was asked last, ``is_elsewhere`` whether that is behind a redirect to
    another origin. Whoever gets an answer closes it.
    """

    __slots__ = ("_forget", "_pace", "_response", "is_elsewhere", "status", "url")

    def __init__(self, url: Url, response: HTTPResponse, pace: Pace, forget: Callable[[Pace], None]) -> None:
        self.url = url
        self.status = response.status
        self.is_elsewhere = False
        self._response = response
        self._pace = pace
        self._forget = forget

    def __repr__(self) -> str:
        return f"Answer({str(self.url)!r}, {self.status})"

    def header(self, name: str) -> str:
        """A header's value, ``""`` where it is not there."""
        return self._response.headers.get(name, "")

    def header_lines(self, name: str) -> list[str]:
        """All values of a header that may come several times."""
        return list(self._response.headers.getlist(name))

    def length(self) -> int | None:
        """What ``Content-Length`` says, of one that makes sense."""
        text = self.header("Content-Length").strip()
        return int(text[:19]) if text.isascii() and text.isdigit() else None

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes of the body as they come, in whatever encoding it is: nothing is ever
        decoded. ``b""`` at its end. ``Unavailable`` or ``TimedOut`` where it breaks off.
        """
        with troubles(self.url):
            piece = self._response.read1(min(size, _LARGEST_BYTES), decode_content=False) or b""
        if self._response.closed:  # and its connection may be another answer's from now on
            self._pace.release()
        return piece

    def document(self, what: str, *, limit: int = DOCUMENT_BYTES) -> bytes:
        """The whole body, and closes. ``CorruptData`` where it is larger than ``limit`` or encoded."""
        try:
            encoding = self.header("Content-Encoding").strip().lower()
            if encoding not in ("", "identity"):
                raise CorruptData(f"{what}: {self.url} sent it as {encoding[:20]!r}, which was not asked for")
            if (self.length() or 0) > limit:
                raise CorruptData(f"{what}: larger than {limit} bytes")
            pieces: list[bytes] = []
            size = 0
            while piece := self.read(_PIECE_BYTES):
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise CorruptData(f"{what}: larger than {limit} bytes")
            return b"".join(pieces)
        finally:
            self.close()

    def json(self, what: str, *, limit: int = DOCUMENT_BYTES) -> dict[str, Any]:
        """The body as a JSON object, and closes."""
        return parse_document(self.document(what, limit=limit), what, limit=limit)

    def hurry(self, seconds: float) -> None:
        """The rest has to come in so much time."""
        self._pace.hurry(seconds)

    def discard(self) -> None:
        """Reads what is left, if it is little and quick, so that the connection can be used again; closes."""
        left = _DISCARD_BYTES
        self.hurry(_DISCARD_S)
        try:
            while left > 0 and (self._response.length_remaining or 0) <= left and (piece := self.read(left)):
                left -= len(piece)
        except CarobError:
            pass  # the answer is of no use, and neither is its connection
        self.close()

    def cut(self) -> None:
        """Ends it from another thread; whoever reads it still has to close it."""
        self._pace.cut()

    def close(self) -> None:
        """Lets go of it. The connection went back to its pool where the body was read to its end, else it is
        closed. Takes no lock that its thread could have, as a signal may be what calls it.
        """
        self._forget(self._pace)
        if not self._response.closed:
            self._response.close()

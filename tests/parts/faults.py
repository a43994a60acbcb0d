"""What can go wrong between a client and a registry, one class each; `FaultyProxy` commits them.

A fault may change the request before it is passed on, answer itself, or change the answer. Counts of bytes
are of the answer's body; what is to happen after more bytes than there are happens after the last.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator

from tests.parts.exchange import Exchange, Fault, Hangup, Reply

_CHUNK = 1 << 16


class Stall(Fault):
    """Falls silent after ``after`` bytes, or before any answer where that is None, for so many seconds.

    Without ``seconds`` until the proxy is closed, and then hangs up.
    """

    def __init__(self, after: int | None = 0, seconds: float | None = None) -> None:
        self.after, self.seconds = after, seconds

    def before(self, exchange: Exchange) -> Reply | None:
        if self.after is None:
            self._wait(exchange)
        return None

    def change(self, reply: Reply, exchange: Exchange) -> None:
        if self.after is not None:
            reply.body = _at(reply.body, self.after, lambda: self._wait(exchange))

    def _wait(self, exchange: Exchange) -> None:
        if exchange.closing.wait(self.seconds):
            raise Hangup


class Drop(Fault):
    """Hangs up after ``after`` bytes, or without any answer where that is None."""

    def __init__(self, after: int | None = 0, *, reset: bool = False) -> None:
        self.after, self.reset = after, reset

    def before(self, exchange: Exchange) -> Reply | None:
        if self.after is None:
            self._hang_up()
        return None

    def change(self, reply: Reply, exchange: Exchange) -> None:
        if self.after is not None:
            reply.body = _at(reply.body, self.after, self._hang_up)

    def _hang_up(self) -> None:
        raise Hangup(reset=self.reset)


class CutRandomly(Fault):
    """Hangs up somewhere in the body, elsewhere each time; a given seed gives the same points again."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def change(self, reply: Reply, exchange: Exchange) -> None:
        after = self._random.randrange(reply.length or 1)
        Drop(after, reset=self._random.random() < 0.5).change(reply, exchange)


class Length(Fault):
    """Content-Length says ``delta`` bytes more or fewer than there are."""

    def __init__(self, delta: int) -> None:
        self.delta = delta

    def change(self, reply: Reply, exchange: Exchange) -> None:
        assert reply.length is not None, "an answer without length cannot lie about it"
        reply.length += self.delta
        reply.close = True


class Answer(Fault):
    """Says this itself. In headers ``{self}`` is the proxy's URL and ``{target}`` what was asked for."""

    def __init__(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.status, self.headers, self.body = status, headers or {}, body

    def before(self, exchange: Exchange) -> Reply | None:
        names = {"{self}": exchange.base_url, "{target}": exchange.target}
        headers = dict(self.headers)
        for name, value in names.items():
            headers = {header: text.replace(name, value) for header, text in headers.items()}
        return Reply(self.status, headers, iter([self.body]), len(self.body))


class Redirect(Answer):
    """To ``location``; ``{self}{target}`` makes a circle."""

    def __init__(self, location: str, status: int = 307) -> None:
        super().__init__(status, {"Location": location})


def too_many(retry_after: str | None = "1") -> Answer:
    """The rate limit, as Docker Hub says it. ``retry_after`` is a number of seconds or a date."""
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}'
    return Answer(429, _retry(retry_after), body)


def unavailable(retry_after: str | None = None) -> Answer:
    """503 of a front whose registry is being restarted."""
    return Answer(503, _retry(retry_after), b"<html>Service Unavailable</html>")


def _retry(after: str | None) -> dict[str, str]:
    return {} if after is None else {"Retry-After": after}


class RefuseRange(Fault):
    """Gives the whole with 200, whatever part was asked for."""

    def before(self, exchange: Exchange) -> Reply | None:
        del exchange.headers["Range"]
        return None

    def change(self, reply: Reply, exchange: Exchange) -> None:
        reply.headers.pop("Accept-Ranges", None)


class ContentRange(Fault):
    """Claims of whatever it sends that it is this part: 206 with ``Content-Range: text``."""

    def __init__(self, text: str) -> None:
        self.text = text

    def change(self, reply: Reply, exchange: Exchange) -> None:
        reply.status = 206
        reply.headers["Content-Range"] = self.text


class Flip(Fault):
    """Gets the byte at ``at`` wrong."""

    def __init__(self, at: int) -> None:
        self.at = at

    def change(self, reply: Reply, exchange: Exchange) -> None:
        reply.body = _flipped(reply.body, self.at)


class Headers(Fault):
    """Sets headers of the answer, or takes away those of value None."""

    def __init__(self, headers: dict[str, str | None]) -> None:
        self.headers = headers

    def change(self, reply: Reply, exchange: Exchange) -> None:
        for name, value in self.headers.items():
            for known in [known for known in reply.headers if known.lower() == name.lower()]:
                del reply.headers[known]
            if value is not None:
                reply.headers[name] = value


class Trickle(Fault):
    """Sends so many bytes a second, in ten portions."""

    def __init__(self, bytes_per_s: int) -> None:
        self.portion = max(1, bytes_per_s // 10)

    def change(self, reply: Reply, exchange: Exchange) -> None:
        reply.body = self._slowly(reply.body, exchange)

    def _slowly(self, body: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
        for data in body:
            for begin in range(0, len(data), self.portion):
                yield data[begin : begin + self.portion]
                if exchange.closing.wait(0.1):
                    raise Hangup


class Chunked(Fault):
    """Says no length and sends in chunks."""

    def change(self, reply: Reply, exchange: Exchange) -> None:
        reply.length = None


class Endless(Fault):
    """A body without end, and no length. ``begin`` comes first, then ``again`` for ever."""

    def __init__(
        self, begin: bytes = b"", again: bytes = b" " * _CHUNK, headers: dict[str, str] | None = None
    ) -> None:
        self.begin, self.again, self.headers = begin, again, headers or {}

    def before(self, exchange: Exchange) -> Reply | None:
        return Reply(200, dict(self.headers), self._forever(exchange), None)

    def _forever(self, exchange: Exchange) -> Iterator[bytes]:
        yield self.begin
        while not exchange.closing.is_set():
            yield self.again
        raise Hangup


class Delay(Fault):
    """Takes its time before it answers, and then answers well."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def before(self, exchange: Exchange) -> Reply | None:
        if exchange.closing.wait(self.seconds):
            raise Hangup
        return None


class Hold(Fault):
    """Keeps each request back until ``release``; ``arrived`` tells that one has come. To order races."""

    def __init__(self, patience_s: float = 30.0) -> None:
        self._arrived, self._released = threading.Semaphore(0), threading.Event()
        self._patience_s = patience_s

    def await_arrival(self) -> None:
        """Return when one more request has come."""
        assert self._arrived.acquire(timeout=self._patience_s), "no request came"

    def release(self) -> None:
        """Let all through."""
        self._released.set()

    def before(self, exchange: Exchange) -> Reply | None:
        self._arrived.release()
        deadline = time.monotonic() + self._patience_s
        while not self._released.wait(0.02):
            if exchange.closing.is_set() or time.monotonic() > deadline:
                raise Hangup
        return None


def _at(body: Iterator[bytes], after: int, act: Callable[[], None]) -> Iterator[bytes]:
    """The body, with something done when ``after`` bytes of it have gone out, be they all."""
    left = after
    acted = False
    for data in body:
        if not acted and len(data) >= left:
            yield data[:left]
            acted = True
            act()
            yield data[left:]
        else:
            left -= len(data)
            yield data
    if not acted:
        act()


def _flipped(body: Iterator[bytes], at: int) -> Iterator[bytes]:
    begin = 0
    for data in body:
        if begin <= at < begin + len(data):
            changed = bytearray(data)
            changed[at - begin] ^= 0x01
            yield bytes(changed)
        else:
            yield data
        begin += len(data)

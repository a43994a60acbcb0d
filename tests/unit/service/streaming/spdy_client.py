"""A SPDY client for tests, written from the specification with nothing of carob's: struct and zlib."""

from __future__ import annotations

import struct
import zlib

_HEADERS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-rang"
    "es age allow authorization cache-control connection content-base content-encoding content-language c"
    "ontent-length content-location content-md5 content-range content-type date etag expect expires from "
    "host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location ma"
    "x-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer"
    " transfer-encoding upgrade user-agent vary via warning www-authenticate method get status"
)
_PLAIN = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Au"
    "thoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidd"
    "en404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr Ma"
    "y Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,imag"
    "e/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicpri"
    "vatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
_WORDS = [*_HEADERS.split(" "), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive"]
DICTIONARY = (
    b"".join(struct.pack(">I", len(word)) + word.encode() for word in [*_WORDS, "origin"]) + _PLAIN.encode()
)

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, _, PING, GOAWAY, HEADERS, WINDOW_UPDATE = range(1, 10)
DATA = 0
FIN = 1


def control(kind: int, payload: bytes, flags: int = 0, version: int = 3) -> bytes:
    return struct.pack(">HHI", 0x8000 | version, kind, flags << 24 | len(payload)) + payload


def words(kind: int, *values: int) -> bytes:
    return control(kind, struct.pack(f">{len(values)}I", *values))


class SpdyClient:
    """Bytes to send, and frames out of bytes received: (kind, flags, stream id or first number, rest)."""

    def __init__(self) -> None:
        self.deflater = zlib.compressobj(9, zlib.DEFLATED, 15, zdict=DICTIONARY)
        self.inflater = zlib.decompressobj(zdict=DICTIONARY)
        self.next_id = 1
        self.held = b""

    def block(self, headers: dict[str, str]) -> bytes:
        plain = struct.pack(">I", len(headers))
        for name, value in headers.items():
            plain += struct.pack(">I", len(name)) + name.encode()
            plain += struct.pack(">I", len(value)) + value.encode()
        return self.compressed(plain)

    def compressed(self, plain: bytes) -> bytes:
        return self.deflater.compress(plain) + self.deflater.flush(zlib.Z_SYNC_FLUSH)

    def open(self, headers: dict[str, str], flags: int = 0) -> tuple[int, bytes]:
        stream_id, self.next_id = self.next_id, self.next_id + 2
        return stream_id, self.syn(stream_id, self.block(headers), flags)

    def syn(self, stream_id: int, block: bytes, flags: int = 0) -> bytes:
        return control(SYN_STREAM, struct.pack(">IIBB", stream_id, 0, 0, 0) + block, flags)

    def data(self, stream_id: int, data: bytes, flags: int = 0) -> bytes:
        return struct.pack(">II", stream_id, flags << 24 | len(data)) + data

    def receive(self, data: bytes) -> list[tuple[int, int, int, bytes]]:
        self.held += data
        frames = []
        while len(self.held) >= 8:
            first, length = struct.unpack(">II", self.held[:8])
            flags, length = length >> 24, length & 0xFFFFFF
            if len(self.held) < 8 + length:
                break
            payload, self.held = self.held[8 : 8 + length], self.held[8 + length :]
            if not first >> 31:
                frames.append((DATA, flags, first, payload))
                continue
            assert first >> 16 == 0x8003
            kind = first & 0xFFFF
            number, rest = struct.unpack(">I", payload[:4])[0], payload[4:]
            if kind == SYN_REPLY:
                rest = self.inflater.decompress(rest)
            frames.append((kind, flags, number, rest))
        return frames

"""The outer form of OpenPGP data from strangers: armor, packet boundaries, compression (RFC 9580, 4 to 6).

Nothing is believed here. It is taken apart, within bounds, only so that the OpenPGP library gets what it
should: one signature at a time, and never compressed data, which it would inflate without a limit.
"""

from __future__ import annotations

import binascii
import zlib

from carob.errors import CorruptData, InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE_BYTES = 1 << 17
"""The largest signature, or file of signatures, that is looked at."""

SIGNATURES = 32
"""More signatures in one file are not looked at."""

KEY_BYTES = 1 << 20
"""The largest file of keys that is looked at."""

_MESSAGE_BYTES = 1 << 20
_ENDLESS = 1 << 62
_SIGNATURE = 2
_ONE_PASS_SIGNATURE = 4
_SECRET_KEYS = frozenset((5, 7))
_PUBLIC_KEY = 6
_OF_A_KEY = frozenset((2, 6, 12, 13, 14, 17))
_COMPRESSED = 8
_LITERAL = 11
_MARKER = 10


def signature_packets(data: bytes, what: str) -> list[bytes]:
    """The signature packets of a detached signature, armored or not, each with its header.

    ``CorruptData`` where it holds anything else, or too much.
    """
    found = []
    for tag, packet, _ in _packets(_plain(data, b"SIGNATURE", what), what):
        if tag == _SIGNATURE:
            found.append(packet)
        elif tag != _MARKER:
            raise CorruptData(f"{what}: not a detached signature (it has an OpenPGP packet of type {tag})")
    if not found:
        raise CorruptData(f"{what}: there is no signature in it")
    if len(found) > SIGNATURES:
        raise CorruptData(f"{what}: more than {SIGNATURES} signatures")
    return found


def public_keys(data: bytes, what: str) -> list[bytes]:
    """The public keys of a file, armored or not, each with all that belongs to it.

    ``CorruptData`` where it holds none, or anything else; ``InvalidInput`` for a secret key.
    """
    found: list[bytes] = []
    for tag, packet, _ in _packets(_plain(data, b"PUBLIC KEY BLOCK", what, limit=KEY_BYTES), what):
        if tag in _SECRET_KEYS:
            raise InvalidInput(f"{what}: it holds a secret key", hint="gpg --armor --export KEY > public.asc")
        if tag == _PUBLIC_KEY:
            found.append(packet)
        elif tag in _OF_A_KEY and found:
            found[-1] += packet
        elif tag != _MARKER:
            raise CorruptData(f"{what}: not a public key (it has an OpenPGP packet of type {tag})")
    if not found:
        raise CorruptData(f"{what}: there is no public key in it")
    return found


def signed_message(data: bytes, what: str) -> bytes:
    """An OpenPGP signed message (RFC 9580, 10.3), uncompressed: signatures and one literal packet.

    ``CorruptData`` for everything else, a cleartext signature or a message compressed twice among it.
    """
    message = _plain(data, b"MESSAGE", what)
    packets = list(_packets(message, what))
    if [tag for tag, _, _ in packets] == [_COMPRESSED]:
        message = _inflated(packets[0][2], what)
        packets = list(_packets(message, what))
    tags = [tag for tag, _, _ in packets if tag != _MARKER]
    if tags.count(_LITERAL) != 1 or not {_SIGNATURE, _ONE_PASS_SIGNATURE, _LITERAL}.issuperset(tags):
        raise CorruptData(f"{what}: not an OpenPGP signed message")
    if _SIGNATURE not in tags or len(tags) > 2 * SIGNATURES:
        raise CorruptData(f"{what}: no signature in the message, or too many")
    return message


def _plain(data: bytes, kind: bytes, what: str, *, limit: int = SIGNATURE_BYTES) -> bytes:
    """The packets without their armor (RFC 9580, 6.2), of several blocks one after the other.

    The checksum at a block's end protects nothing and is not looked at.
    """
    if len(data) > limit:
        raise CorruptData(f"{what}: larger than {limit} bytes")
    if data[:1] >= b"\x80":
        return data
    if b"-----BEGIN PGP PRIVATE KEY BLOCK-----" in data:
        raise InvalidInput(f"{what}: it holds a secret key", hint="gpg --armor --export KEY > public.asc")
    begin, end = b"-----BEGIN PGP " + kind + b"-----", b"-----END PGP " + kind + b"-----"
    plain = []
    body: list[bytes] | None = None
    for line in map(bytes.strip, data.splitlines()):
        if line == begin and body is None:
            body = []
        elif line == end and body is not None:
            plain.append(_decoded(body, what))
            body = None
        elif body is not None:
            body.append(line)
    if not plain or body is not None:
        raise CorruptData(f"{what}: neither armored nor binary OpenPGP data (PGP {kind.decode()})")
    return b"".join(plain)


def _decoded(lines: list[bytes], what: str) -> bytes:
    """The bytes of an armored block: headers, an empty line, base64, a checksum."""
    body = lines[lines.index(b"") + 1 :] if b"" in lines else lines
    try:
        return binascii.a2b_base64(b"".join(line for line in body if line[:1] != b"="), strict_mode=True)
    except ValueError as error:
        raise CorruptData(f"{what}: broken armor: {error}") from error


def _packets(data: bytes, what: str) -> Iterator[tuple[int, bytes, bytes]]:
    """The packets one after the other: type, the whole packet, its body."""
    position = 0
    while position < len(data):
        start = position
        header = data[position]
        if header < 0x80:
            raise CorruptData(f"{what}: broken OpenPGP packet")
        position += 1
        if header & 0x40:
            tag = header & 0x3F
            body, position = _new_body(data, position, what)
        else:
            tag = header >> 2 & 0x0F
            count = (1, 2, 4, 0)[header & 3]
            length = int.from_bytes(data[position : position + count], "big") if count else len(data)
            position += count
            body = data[position : position + length]
            if count and len(body) < length:
                raise CorruptData(f"{what}: the OpenPGP data end too early")
            position += len(body)
        yield tag, data[start:position], body


def _new_body(data: bytes, position: int, what: str) -> tuple[bytes, int]:
    """The body of a packet in the newer format, its parts joined, and where it ends."""
    parts = []
    while True:
        first = data[position] if position < len(data) else 255
        is_partial = 224 <= first < 255
        if is_partial:
            length, position = 1 << (first & 0x1F), position + 1
        elif first < 192:
            length, position = first, position + 1
        elif first < 224:
            length = ((first - 192) << 8) + int.from_bytes(data[position + 1 : position + 2], "big") + 192
            position += 2
        else:
            taken = data[position + 1 : position + 5]
            length = int.from_bytes(taken, "big") if len(taken) == 4 else _ENDLESS
            position += 5
        part = data[position : position + length]
        if len(part) < length:
            raise CorruptData(f"{what}: the OpenPGP data end too early")
        parts.append(part)
        position += length
        if not is_partial:
            return b"".join(parts), position


def _inflated(body: bytes, what: str) -> bytes:
    """What a compressed packet holds (RFC 9580, 5.6), up to a bound."""
    try:
        match body[:1]:
            case b"\x00":
                plain = body[1:]
            case b"\x01" | b"\x02":
                inflate = zlib.decompressobj(wbits=-15 if body[0] == 1 else 15)
                plain = inflate.decompress(body[1:], _MESSAGE_BYTES + 1)
            case b"\x03":
                import bz2

                plain = bz2.BZ2Decompressor().decompress(body[1:], _MESSAGE_BYTES + 1)
            case _:
                raise CorruptData(f"{what}: an unknown compression")
    except (zlib.error, OSError, ValueError) as error:
        raise CorruptData(f"{what}: broken compressed data") from error
    if len(plain) > _MESSAGE_BYTES:
        raise CorruptData(f"{what}: more than {_MESSAGE_BYTES} bytes when uncompressed")
    return plain

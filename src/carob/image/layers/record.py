"""The record of an unpacked layer: what every file in it is to be, so that it can be checked later.

A text, one line an object, in no order, written while the layer is unpacked (``recorder``)::

    carob layer 1 <form>                                      the form of overlay's attributes
    d <mode> <uid> <gid> <mtime ns> <path>                    a directory; the layer's own is "."
    f <mode> <uid> <gid> <mtime ns> <size> <sha256> <path>    a file
    l <mode> <uid> <gid> <mtime ns> <target> <path>           a symbolic link
    c|b <mode> <uid> <gid> <mtime ns> <major>:<minor> <path>  a device
    p <mode> <uid> <gid> <mtime ns> <path>                    a fifo
    h <path> <path>                                           of the file at the first, one more name
    w <path>                                                  a whiteout
    o <path>                                                  this directory is opaque
    n <letter> <path>                                         a device that was left out
    end <lines> <sha256 of all before this line>

Modes are octal, other numbers decimal. White space and ``%`` in paths and targets are ``%XX``. A line may
end with extended attributes, ``\\t<name>=<value>``, the name like a path, the value in hexadecimal digits.
While a layer is unpacked there are two more: ``- <path>`` voids earlier lines of a path, ``-- <path>`` also
those below.
"""

from __future__ import annotations

from binascii import hexlify
from hashlib import sha256

from carob.errors import CorruptData, Unsupported
from carob.image.store.layout import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from carob.image.layers.trees import Trees

VERSION = 1
_SPECIAL = b" \t\n\r\x0b\x0c%"


def quoted(path: bytes) -> bytes:
    """A path, or another word, without white space."""
    if path.split(None, 1) == [path] and b"%" not in path:
        return path
    return b"".join(b"%%%02X" % byte if byte in _SPECIAL else bytes((byte,)) for byte in path)


def unquoted(word: bytes) -> bytes:
    """What was quoted."""
    first, *parts = word.split(b"%")
    return first + b"".join(bytes((int(part[:2], 16),)) + part[2:] for part in parts)


def xattr_words(xattrs: Mapping[str, bytes]) -> bytes:
    """Extended attributes as a line has them."""
    return b"\t".join(
        b"%s=%s" % (quoted(name.encode("utf-8", "surrogateescape")), hexlify(value))
        for name, value in sorted(xattrs.items())
    )


def check_layer(trees: Trees, chain_id: str) -> list[str]:
    """Compares a layer with its record, content included: what is wrong, a line each, at most a hundred.

    ``NotFound`` where there is no layer, or it has no record, ``Unsupported`` where that is of another
    version. ``OSError`` where it cannot be read.
    """
    from carob.image.layers.hands import open_hands

    hands = open_hands()
    try:
        return hands.check(trees.layer_path(chain_id), trees.record_path(chain_id))
    finally:
        hands.close()


def read_record(path: str) -> Iterator[bytes]:
    """The lines of a record but the first and the last. ``CorruptData``, at the end at the latest, where it
    is not what was written; ``Unsupported`` for one of another version; ``FileNotFoundError``.
    """
    with open(open_regular(path), "rb") as file:
        first = file.readline()
        words = first.split(b" ")
        if words[:2] != [b"carob", b"layer"] or len(words) != 4:
            raise CorruptData(f"{path}: not a record of a layer")
        if words[2] != b"%d" % VERSION:
            version = words[2][:20].decode("ascii", "replace")
            raise Unsupported(f"{path}: a record of version {version}, and this carob reads {VERSION}")
        content, count, last = sha256(first), 1, b""
        for line in file:
            if last:
                content.update(last)
                count += 1
                yield last[:-1]
            last = line
        if last != b"end %d %s\n" % (count, hexlify(content.digest())):
            raise CorruptData(f"{path}: the record is broken")

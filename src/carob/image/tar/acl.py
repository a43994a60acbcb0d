"""POSIX ACLs as star and GNU tar write them into PAX records, in the form the kernel keeps them in.

A record is text: ``user::rw-,user:1000:r--,group::r--,mask::r--,other::---``. GNU tar writes a number for an
owner only where its host has no name for it; star and bsdtar add it at the end (``user:lisa:r--:1000``). The
kernel's form is a version and eight bytes an entry (linux/posix_acl_xattr.h).
"""

from __future__ import annotations

import struct

from carob.errors import CorruptData, Unsupported

_RECORDS = (
    ("SCHILY.acl.access", "system.posix_acl_access"),
    ("SCHILY.acl.default", "system.posix_acl_default"),
)
_VERSION = 2
_NOBODY = (1 << 32) - 1
_TAGS = {b"user": (0x01, 0x02), b"group": (0x04, 0x08), b"mask": (0x10, 0), b"other": (0x20, 0)}
"""Of a word: the tag without, and with, a name after it."""


def acl_xattrs(records: dict[str, bytes], what: str) -> dict[str, bytes]:
    """The extended attributes that a member's records ask for; ``CorruptData`` or ``Unsupported``."""
    return {name: _encode(records[key], what) for key, name in _RECORDS if records.get(key)}


def _encode(text: bytes, what: str) -> bytes:
    entries = []
    for line in text.replace(b"\n", b",").split(b","):
        words = [word.strip() for word in line.partition(b"#")[0].split(b":")]
        if words != [b""]:
            entries.append(_entry(words, what))
    # The kernel wants them sorted: by tag, and by number within it.
    encoded = (struct.pack("<HHI", tag, permissions, number) for tag, number, permissions in sorted(entries))
    return struct.pack("<I", _VERSION) + b"".join(encoded)


def _entry(words: list[bytes], what: str) -> tuple[int, int, int]:
    """Tag, number and permissions of one entry."""
    if len(words) == 2 and words[0] in (b"mask", b"other"):  # star leaves the empty name out
        words = [words[0], b"", words[1]]
    tags = _TAGS.get(words[0])
    if tags is None or len(words) not in (3, 4):
        raise CorruptData(f"{what}: a broken ACL")
    unnamed, named = tags
    permissions = _permissions(words[2], what)
    if not words[1]:
        return unnamed, _NOBODY, permissions
    number = words[3] if len(words) == 4 else words[1]
    if not named:
        raise CorruptData(f"{what}: a broken ACL")
    if not number.isdigit():
        raise Unsupported(
            f"{what}: an ACL with the name {words[1][:40].decode('utf-8', 'backslashreplace')!r}",
            hint="what it stands for is not in the tar; bsdtar writes numbers as well",
        )
    if int(number[:20]) >= _NOBODY:
        raise CorruptData(f"{what}: a broken ACL")
    return named, int(number), permissions


def _permissions(text: bytes, what: str) -> int:
    value = 0
    for letter, bit in zip(text, (4, 2, 1), strict=False):
        if letter == ord("-"):
            continue
        if letter != b"rwx"[(4, 2, 1).index(bit)]:
            raise CorruptData(f"{what}: a broken ACL")
        value |= bit
    if len(text) != 3:
        raise CorruptData(f"{what}: a broken ACL")
    return value

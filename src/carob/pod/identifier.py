"""Pod identifiers: the names of pod directories, and the file that ``--uuid-file-save`` writes.

The canonical form is 36 characters, lower case, with dashes (RFC 4122); only a directory of that name
is a pod.
"""

from __future__ import annotations

import os

LENGTH = 36
_HEX = "0123456789abcdef"
_DASHES = (8, 13, 18, 23)


def new_uuid() -> str:
    """A random identifier (RFC 4122, version 4) in canonical form."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def fault_of(name: str) -> str:
    """Why ``name`` is no canonical identifier, or ``""`` where it is one."""
    digits = name.replace("-", "")
    if len(digits) != 32 or digits.lower().strip(_HEX):
        return "the name is not a UUID"
    if len(name) != LENGTH or digits.strip(_HEX) or any(name[at] != "-" for at in _DASHES):
        return "the name is a UUID, but not in lower case with dashes"
    return ""

"""Making files as somebody else, with all of one's own rights (setfsuid(2), capset(2)); for one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from carob.linux import syscall as _sys

_VERSION_3 = 0x20080522
_DATA_BYTES = 24


@contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """Within the block, what this thread makes belongs to these on the host; for root.

    An idmapped mount takes no files of owners that it does not map. The kernel takes the capabilities for
    files away with the number 0 (capabilities(7)), so they are taken up again: what is permitted stays so.
    """
    header = _VERSION_3.to_bytes(4, "little") + bytes(4)
    data = bytearray(_DATA_BYTES)
    _sys.syscall(_sys.SYS_CAPGET, header, _sys.address_of(data))
    before = _sys.syscall(_sys.SYS_SETFSGID, gid), _sys.syscall(_sys.SYS_SETFSUID, uid)
    try:
        _sys.syscall(_sys.SYS_CAPSET, header, bytes(data))
        yield
    finally:
        _sys.syscall(_sys.SYS_SETFSUID, before[1])
        _sys.syscall(_sys.SYS_SETFSGID, before[0])
        _sys.syscall(_sys.SYS_CAPSET, header, bytes(data))

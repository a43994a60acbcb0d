"""The contents of a pod's files, one after the other, as they go from whoever starts the pod to its init.

First the size of each in bytes, eight bytes little-endian, then the contents, both in the order of the launch
plan's ``files``. It travels in a file in memory beside the word to go, and is never written to disk.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE_BYTES = 8


def pack(contents: Sequence[bytes]) -> bytes:
    """Sizes and contents."""
    return b"".join([*[len(one).to_bytes(SIZE_BYTES, "little") for one in contents], *contents])


def sizes(head: bytes) -> list[int]:
    """The sizes of the contents that follow."""
    return [int.from_bytes(head[at : at + SIZE_BYTES], "little") for at in range(0, len(head), SIZE_BYTES)]

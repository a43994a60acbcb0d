"""Paths as a layer has them: cleaned, bounded, and told from marks of deletion (image-spec, layer.md)."""

from __future__ import annotations

from carob.errors import CorruptData
from carob.image.tar.limits import LIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.tar.limits import UnpackLimits

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."
_SHOWN_BYTES = 200


def clean_path(raw: bytes, what: str = "", limits: UnpackLimits = LIMITS) -> bytes:
    """A path without empty and ``.`` parts, relative to the layer.

    ``CorruptData``, with ``what`` before it, for ``..`` and for what is longer or deeper than ``limits``.
    """
    path = raw.strip(b"/").removeprefix(b"./")
    if path[:1] in (b".", b"/") or b"/." in path or b"//" in path:
        parts = [part for part in path.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise _refused(what, "'..' in a path")
        path = b"/".join(parts)
    if len(path) > limits.name_bytes:
        if len(path) > limits.path_bytes:
            raise _refused(what, f"a path of {len(path)} bytes; at most {limits.path_bytes} are read")
        if max(map(len, path.split(b"/"))) > limits.name_bytes:
            raise _refused(what, f"a name of more than {limits.name_bytes} bytes")
    if path.count(b"/") >= limits.depth:
        raise _refused(what, f"a path of more than {limits.depth} parts")
    return path


def is_of_aufs(path: bytes) -> bool:
    """Whether a path is aufs's own bookkeeping, in images of long ago."""
    return path.startswith(_AUFS)


def shown(path: bytes) -> str:
    """A path for an error message: printable, quoted, and not endless."""
    return repr(path[:_SHOWN_BYTES].decode("utf-8", "backslashreplace"))


def _refused(what: str, message: str) -> CorruptData:
    return CorruptData(f"{what}: {message}" if what else message)

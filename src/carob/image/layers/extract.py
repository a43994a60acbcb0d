"""Extracting one layer: it is read, decompressed and hashed here, while others make the files."""

from __future__ import annotations

from carob.errors import CorruptData
from carob.image.layers.maker import Making
from carob.image.layers.stream import LayerStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.compression import Reader
    from carob.image.layers.hands import Hands
    from carob.image.layers.unsettled import Unsettled
    from carob.image.layers.workplace import Workplace
    from carob.image.tar.limits import UnpackLimits


def extract_layer(
    read: Reader,
    hands: Hands,
    *,
    what: str,
    diff_id: str,
    workplace: Workplace,
    limits: UnpackLimits,
) -> Unsettled:
    """Unpacks a blob into the empty directory of ``workplace``, and writes its record there.

    ``read`` gives at most so many compressed bytes, and nothing only at the end; it is called in this thread
    and read to its end, unless the layer is refused before. ``diff_id`` is checked as the bytes pass: on any
    error the caller throws what is there away.
    """
    stream = LayerStream(read, what, limits=limits, hash_raw=False)
    maker = hands.make(Making(what, workplace.tree, workplace.record, stream.allowance), workplace)
    try:
        while (piece := stream.read()) and maker.take(piece):
            pass
        unsettled = maker.finish()
    except BaseException:
        maker.stop()
        raise
    stream.drain()
    if stream.diff_id != diff_id:
        raise CorruptData(f"{what}: its diff id is {stream.diff_id}, not {diff_id}")
    return unsettled

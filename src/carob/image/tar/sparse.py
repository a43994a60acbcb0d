"""Maps of sparse files in tars: old GNU, PAX 0.0, 0.1 and 1.0 (GNU tar manual, "Storing Sparse Files")."""

from __future__ import annotations

from carob.errors import CorruptData, Unsupported
from carob.image.tar.header import number, pax_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.tar.limits import UnpackLimits
    from carob.image.tar.source import TarSource

    Extents = tuple[tuple[int, int], ...]

OLD_GNU = b"S"
_BROKEN = "broken map of a sparse file"


def is_sparse(flag: bytes, keys: dict[str, bytes]) -> bool:
    """Whether a file's header, with its PAX records, says that it is sparse."""
    return flag == OLD_GNU or any(key.startswith("GNU.sparse.") for key in keys)


def sparse_map(
    source: TarSource,
    block: bytes,
    pax: list[tuple[str, bytes]],
    stored: int,
    what: str,
    limits: UnpackLimits,
) -> tuple[Extents, int, int]:
    """The extents, the size of the file, and how many bytes of data follow.

    ``stored`` is the size in the header. Where the map comes before the data it is read from ``source``.
    ``CorruptData`` or ``Unsupported`` name ``what``.
    """
    keys = dict(pax)
    if block[156:157] == OLD_GNU:
        extents = _old_gnu_map(source, block, what, limits)
        real_size = _field(block[483:495], what)
    elif "GNU.sparse.major" in keys:
        if (keys["GNU.sparse.major"], keys.get("GNU.sparse.minor")) != (b"1", b"0"):
            raise Unsupported(f"{what}: an unknown format of sparse files")
        real_size = pax_integer(keys.get("GNU.sparse.realsize", b""), what)
        numbers, taken = _map_before_data(source, what, limits)
        stored -= taken
        extents = _pairs(numbers, what, limits)
    else:
        real_size = pax_integer(keys.get("GNU.sparse.size", b""), what)
        if "GNU.sparse.map" in keys:
            listed = keys["GNU.sparse.map"]
            numbers = listed.split(b",") if listed else []
        else:
            numbers = _repeated_records(pax, what)
        extents = _pairs(numbers, what, limits)
    return _checked(extents, real_size, stored, what), real_size, stored


def _old_gnu_map(source: TarSource, block: bytes, what: str, limits: UnpackLimits) -> list[tuple[int, int]]:
    """Four extents in the header, then 21 a block while a flag says that there are more."""
    extents = _old_gnu_extents(block[386:482], what)
    is_extended = block[482]
    while is_extended:
        more = source.block()
        if not more:
            raise CorruptData(f"{what}: {_BROKEN}")
        extents += _old_gnu_extents(more[:504], what)
        is_extended = more[504]
        if len(extents) > limits.extents:
            raise CorruptData(f"{what}: more than {limits.extents} extents in a sparse file")
    return extents


def _old_gnu_extents(raw: bytes, what: str) -> list[tuple[int, int]]:
    """Pairs of 12-byte numbers, up to the first empty one."""
    extents = []
    for position in range(0, len(raw) - 23, 24):
        if raw[position] == 0:
            break
        extents.append(
            (_field(raw[position : position + 12], what), _field(raw[position + 12 : position + 24], what))
        )
    return extents


def _field(digits: bytes, what: str) -> int:
    try:
        value = number(digits)
    except ValueError as error:
        raise CorruptData(f"{what}: {_BROKEN}") from error
    if not 0 <= value < 1 << 63:
        raise CorruptData(f"{what}: {_BROKEN}")
    return value


def _map_before_data(source: TarSource, what: str, limits: UnpackLimits) -> tuple[list[bytes], int]:
    """PAX 1.0: a count and then pairs, one number a line, padded to whole blocks. And the bytes taken."""
    numbers: list[bytes] = []
    rest, taken, wanted = b"", 0, 1
    while len(numbers) < wanted:
        block = source.block()
        taken += len(block)
        if not block or taken > limits.header_bytes:
            raise CorruptData(f"{what}: {_BROKEN}")
        *lines, rest = (rest + block).split(b"\n")
        if not numbers and lines:
            wanted = 1 + 2 * pax_integer(lines[0], what)
        numbers += lines
    return numbers[1:wanted], taken


def _repeated_records(pax: list[tuple[str, bytes]], what: str) -> list[bytes]:
    """PAX 0.0: ``GNU.sparse.offset`` and ``GNU.sparse.numbytes`` by turns, a pair an extent."""
    numbers: list[bytes] = []
    for key, value in pax:
        if key in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            if (key == "GNU.sparse.numbytes") != len(numbers) % 2:
                raise CorruptData(f"{what}: {_BROKEN}")
            numbers.append(value)
    if 2 * pax_integer(dict(pax).get("GNU.sparse.numblocks", b""), what) != len(numbers):
        raise CorruptData(f"{what}: {_BROKEN}")
    return numbers


def _pairs(numbers: list[bytes], what: str, limits: UnpackLimits) -> list[tuple[int, int]]:
    if len(numbers) > 2 * limits.extents:
        raise CorruptData(f"{what}: more than {limits.extents} extents in a sparse file")
    if len(numbers) % 2:
        raise CorruptData(f"{what}: {_BROKEN}")
    values = [pax_integer(value, what) for value in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def _checked(extents: list[tuple[int, int]], real_size: int, stored: int, what: str) -> Extents:
    """Extents must be in order, apart, inside the file, and as long as the data that are stored."""
    end = total = 0
    for offset, length in extents:
        if offset < end:
            raise CorruptData(f"{what}: {_BROKEN}")
        end = offset + length
        total += length
    if end > real_size or total != stored:
        raise CorruptData(f"{what}: {_BROKEN}")
    return tuple(extent for extent in extents if extent[1])

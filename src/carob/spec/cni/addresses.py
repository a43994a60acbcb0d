"""IP addresses, prefixes and hardware addresses as texts, read as strictly as Go's ``net`` reads them.

The standard library's ``ipaddress`` costs 5 ms to import; plugins give and take texts, and few of them need a
second look.
"""

from __future__ import annotations

_HEX = frozenset("0123456789abcdefABCDEF")
_BITS = {4: 32, 6: 128}


class Cidr:
    """An address with the length of its network's prefix, such as ``10.1.2.3/16``. Never changes.

    ``version`` is 4 or 6, ``address`` the number that the address is, ``length`` that of the prefix in bits.
    """

    __slots__ = ("address", "length", "version")

    version: int
    address: int
    length: int

    def __init__(self, version: int, address: int, length: int) -> None:
        set_slot = object.__setattr__
        set_slot(self, "version", version)
        set_slot(self, "address", address)
        set_slot(self, "length", length)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Cidr does not change: {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return Cidr, (self.version, self.address, self.length)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cidr):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[int, int, int]:
        return self.version, self.address, self.length

    def __str__(self) -> str:
        return f"{self.ip}/{self.length}"

    def __repr__(self) -> str:
        return f"Cidr({str(self)!r})"

    @property
    def ip(self) -> str:
        """The address alone."""
        return format_ip(self.version, self.address)

    @property
    def mask(self) -> str:
        """The network's mask as an address, such as ``255.255.0.0``."""
        return format_ip(self.version, self._mask())

    def _mask(self) -> int:
        bits = _BITS[self.version]
        return ((1 << bits) - 1) ^ ((1 << (bits - self.length)) - 1)

    def network(self) -> Cidr:
        """The network that the address is in: the same prefix, and zeros after it."""
        return Cidr(self.version, self.address & self._mask(), self.length)

    def contains(self, other: Cidr) -> bool:
        """Whether all of the network of ``other`` is in this one."""
        if self.version != other.version or self.length > other.length:
            return False
        return other.address & self._mask() == self.address & self._mask()

    def overlaps(self, other: Cidr) -> bool:
        """Whether the two networks have an address in common."""
        return self.contains(other) or other.contains(self)


def parse_ip(text: str) -> tuple[int, int] | None:
    """The version (4 or 6) and the number of an address; ``None`` for what is none.

    No zone, no zeros before.
    """
    if ":" in text:
        number = _parse_ip6(text)
        return None if number is None else (6, number)
    number = _parse_ip4(text)
    return None if number is None else (4, number)


def _parse_ip4(text: str) -> int | None:
    parts = text.split(".")
    if len(parts) != 4:
        return None
    number = 0
    for part in parts:
        if not (part.isascii() and part.isdigit()) or len(part) > 3 or (part[0] == "0" and part != "0"):
            return None
        if int(part) > 255:
            return None
        number = number << 8 | int(part)
    return number


def _parse_ip6(text: str) -> int | None:
    """RFC 4291, 2.2: eight groups, one run of zeros as ``::``, the last two groups as an IPv4 address."""
    before, gap, after = text.partition("::")
    if gap and "::" in after:
        return None
    left = _groups(before, may_end=not gap)
    right = _groups(after, may_end=True) if gap else []
    if left is None or right is None:
        return None
    missing = 8 - len(left) - len(right)
    if (missing < 1) if gap else (missing != 0):
        return None
    number = 0
    for group in (*left, *([0] * missing), *right):
        number = number << 16 | group
    return number


def _groups(text: str, *, may_end: bool) -> list[int] | None:
    """The 16-bit groups of a part of an address; with ``may_end`` the last may be an IPv4 address."""
    if not text:
        return []
    groups = []
    parts = text.split(":")
    for position, part in enumerate(parts):
        if "." in part and may_end and position == len(parts) - 1:
            last = _parse_ip4(part)
            if last is None:
                return None
            groups += [last >> 16, last & 0xFFFF]
        elif 1 <= len(part) <= 4 and _HEX.issuperset(part):
            groups.append(int(part, 16))
        else:
            return None
    return groups


def format_ip(version: int, number: int) -> str:
    """The address as text; IPv6 as RFC 5952 says."""
    if version == 4:
        return ".".join([str(number >> shift & 0xFF) for shift in (24, 16, 8, 0)])
    groups = [number >> shift & 0xFFFF for shift in range(112, -16, -16)]
    start, length = _longest_zeros(groups)
    words = [f"{group:x}" for group in groups]
    if length < 2:
        return ":".join(words)
    return ":".join(words[:start]) + "::" + ":".join(words[start + length :])


def _longest_zeros(groups: list[int]) -> tuple[int, int]:
    best = (0, 0)
    start = 0
    while start < len(groups):
        end = start
        while end < len(groups) and groups[end] == 0:
            end += 1
        if end - start > best[1]:
            best = (start, end - start)
        start = max(end, start + 1)
    return best


def parse_cidr(text: str) -> Cidr | None:
    """An address with its prefix; ``None`` for what is none."""
    address, slash, digits = text.partition("/")
    found = parse_ip(address)
    if found is None or not slash or not (digits.isascii() and digits.isdigit()) or len(digits) > 3:
        return None
    if (len(digits) > 1 and digits[0] == "0") or int(digits) > _BITS[found[0]]:
        return None
    return Cidr(found[0], found[1], int(digits))


def parse_address(text: str) -> Cidr | None:
    """An address with or without a prefix; without one it is a network of its own."""
    if "/" in text:
        return parse_cidr(text)
    found = parse_ip(text)
    return None if found is None else Cidr(found[0], found[1], _BITS[found[0]])


def parse_mac(text: str) -> str | None:
    """A 48-bit hardware address of one interface, as ``aa:bb:cc:dd:ee:ff``; ``None`` for what is none.

    Multicast addresses and the zero address belong to no interface.
    """
    parts = text.replace("-", ":").split(":")
    if len(parts) != 6 or not all(len(part) == 2 and _HEX.issuperset(part) for part in parts):
        return None
    if int(parts[0], 16) & 1 or not any(int(part, 16) for part in parts):
        return None
    return ":".join(parts).lower()

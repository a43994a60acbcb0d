"""Pod identifiers: UUIDs as appc writes them."""

from __future__ import annotations

from os import urandom

from carob.spec.appc.fault import FieldError
from carob.spec.appc.names import Text

_HEX = frozenset("0123456789abcdefABCDEF")


class UUID(Text):
    """A UUID in its canonical form, lower case with dashes at 8-4-4-4-12.

    Made from any spelling that has 32 hexadecimal digits once all dashes are taken out.
    """

    __slots__ = ()

    @staticmethod
    def _canonical(text: str) -> str:
        digits = text.replace("-", "")
        if len(digits) != 32 or not _HEX.issuperset(digits):
            raise FieldError(f"{text!r} is not a UUID", hint="a UUID has 32 hexadecimal digits")
        return _dashed(digits.lower())

    @classmethod
    def new(cls) -> UUID:
        """A random UUID (RFC 9562 version 4) from the kernel's generator."""
        octets = bytearray(urandom(16))
        octets[6] = octets[6] & 0x0F | 0x40
        octets[8] = octets[8] & 0x3F | 0x80
        return str.__new__(cls, _dashed(octets.hex()))

    @property
    def is_nil(self) -> bool:
        """Whether all digits are zero; such a UUID names no pod."""
        return not self.strip("0-")


def _dashed(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

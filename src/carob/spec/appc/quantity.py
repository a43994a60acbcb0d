"""Amounts of a resource: fixed-point numbers with a suffix, as in ``resource/cpu`` and ``resource/memory``.

``1536Mi``, ``500m``, ``12e6``, ``.5``. Source: appc specification 0.8.11, "Resource Isolators" (the
format is that of Kubernetes). Go's reader is followed also where it takes more than the specification
says.
"""

from __future__ import annotations

from carob.spec.appc.fault import FieldError
from carob.spec.appc.names import Text

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIXES = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIXES = {exponent: suffix for suffix, exponent in _BINARY.items()}
_SUFFIX_LETTERS = "eEinumkKMGTP"
_LARGEST = 2**63 - 1
_LONGEST_TEXT = 4096
_NANO = -9
_LARGEST_SHIFT = 1000


class Quantity(Text):
    """An amount, kept as the text it was given as.

    ``units`` and ``milli_units`` are the amount rounded up; `canonical` is the text that Go writes.
    Parts smaller than a billionth are rounded up (away from zero) to one.
    """

    __slots__ = ()

    @staticmethod
    def _canonical(text: str) -> str:
        _parse(text)
        return text

    @property
    def units(self) -> int:
        """The amount in whole units (bytes, cores), rounded up."""
        return self.scaled(0)

    @property
    def milli_units(self) -> int:
        """The amount in thousandths, rounded up."""
        return self.scaled(-3)

    def scaled(self, exponent: int) -> int:
        """The amount divided by ``10 ** exponent``, rounded up.

        Raises `FieldError` when the exponent of the amount is beyond anything a machine has.
        """
        mantissa, scale, _ = _parse(self)
        shift = scale - exponent
        if shift > _LARGEST_SHIFT:
            raise FieldError(f"{str(self)!r} is too large")
        if shift < 0:
            return -(-mantissa // _power(-shift))
        return mantissa * _power(shift)

    @property
    def canonical(self) -> str:
        """The amount without fraction and with the largest suffix that loses nothing.

        The kind of suffix stays what it was: binary, decimal or exponent.
        """
        mantissa, scale, kind = _parse(self)
        if mantissa == 0:
            return "0"
        while mantissa % 10 == 0:
            mantissa, scale = mantissa // 10, scale + 1
        if kind == "binary" and scale >= 0 and abs(mantissa * 10**scale) >= 1024:
            return _binary_text(mantissa * 10**scale)
        while scale % 3:
            mantissa, scale = mantissa * 10, scale - 1
        if kind == "exponent":
            return f"{mantissa}e{scale}" if scale else str(mantissa)
        return str(mantissa) + _DECIMAL_SUFFIXES.get(scale, "")


def _power(exponent: int) -> int:
    return int(10**exponent)


def _binary_text(amount: int) -> str:
    exponent = 0
    while amount % 1024 == 0:
        amount, exponent = amount // 1024, exponent + 10
    return str(amount) + _BINARY_SUFFIXES.get(exponent, "")


def _parse(text: str) -> tuple[int, int, str]:
    """(mantissa, scale, kind) with the amount ``mantissa * 10 ** scale``; kind: binary, decimal, exponent."""
    if not text or len(text) > _LONGEST_TEXT:
        raise FieldError(f"{text[:40]!r} is not a quantity")
    negative, digits, fraction, suffix = _split(text)
    kind, base, exponent = _suffix(text, suffix)
    # Go reads a bare suffix as 0, but not the largest binary and the smallest decimal ones.
    is_bare = not digits and not fraction and "0" not in text[: len(text) - len(suffix)]
    if is_bare and (exponent < _NANO or (base == 2 and exponent >= _BINARY["Pi"])):
        raise FieldError(f"{text!r} is not a quantity")
    mantissa = int(digits + fraction or "0")
    scale = -len(fraction)
    if base == 2:
        mantissa <<= exponent
    else:
        scale += exponent
    mantissa, scale = _rounded(mantissa, scale)
    if base == 2:
        ceiling = _LARGEST * 10**-scale
        if mantissa > ceiling:
            mantissa, scale = _LARGEST, 0
        elif 0 < mantissa < 10**-scale:
            kind = "decimal"
    return -mantissa if negative else mantissa, scale, kind


def _rounded(mantissa: int, scale: int) -> tuple[int, int]:
    if mantissa == 0:
        return 0, 0
    if scale < _NANO:
        excess = _NANO - scale
        # A number with more places than digits is less than a billionth: no need to compute how much.
        mantissa = 1 if excess > len(str(mantissa)) else -(-mantissa // 10**excess)
        scale = _NANO
    return mantissa, scale


def _split(text: str) -> tuple[bool, str, str, str]:
    """(negative, digits, digits behind the point, suffix)"""
    rest = text[1:] if text[0] in "+-" else text
    digits, rest = _leading_digits(rest.lstrip("0"))
    fraction = ""
    if rest.startswith("."):
        fraction, rest = _leading_digits(rest[1:])
    letters = len(rest) - len(rest.lstrip(_SUFFIX_LETTERS))
    exponent = rest[letters:]
    sign = exponent[:1] if exponent[:1] in ("+", "-") else ""
    if _leading_digits(exponent[len(sign) :])[1]:
        raise FieldError(f"{text!r} is not a quantity")
    return text[0] == "-", digits, fraction, rest


def _leading_digits(text: str) -> tuple[str, str]:
    rest = text.lstrip("0123456789")
    return text[: len(text) - len(rest)], rest


def _suffix(text: str, suffix: str) -> tuple[str, int, int]:
    """(kind, base, exponent)"""
    if suffix in _DECIMAL:
        return "decimal", 10, _DECIMAL[suffix]
    if suffix in _BINARY:
        return "binary", 2, _BINARY[suffix]
    number = suffix[1:]
    sign = number[:1] if number[:1] in ("+", "-") else ""
    if suffix[0] in "eE" and number[len(sign) :].isdigit() and len(number) <= 20 and abs(int(number)) < 2**63:
        exponent = int(number)
        if abs(exponent) < 2**31:
            return "exponent", 10, exponent
    raise FieldError(f"{text!r} is not a quantity: bad suffix {suffix!r}")

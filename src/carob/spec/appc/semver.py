"""Semantic versions, as far as appc looks into them (``acVersion``)."""

from __future__ import annotations

from carob.spec.appc.fault import FieldError
from carob.spec.appc.names import Text


class SemVer(Text):
    """A version ``major.minor.patch[-pre-release][+metadata]``, numbers without leading zeros.

    Ordered by precedence: numbers first, then the pre-release, a version with one before the version
    without; metadata does not count. ``0.0.0`` alone is not a version: it stands for "unset" in Go.
    """

    __slots__ = ()

    @staticmethod
    def _canonical(text: str) -> str:
        rest, plus, metadata = text.partition("+")
        rest, dash, pre_release = rest.partition("-")
        numbers = rest.split(".", 2)
        if len(numbers) != 3 or not all(map(_is_int64, numbers)):
            raise FieldError(f"{text!r} is not a semantic version")
        canonical = ".".join(number.lstrip("0") or "0" for number in numbers)
        if canonical == "0.0.0" and not pre_release and not metadata:
            raise FieldError("version 0.0.0 is not allowed")
        return canonical + (dash + pre_release if pre_release else "") + (plus + metadata if metadata else "")

    @property
    def numbers(self) -> tuple[int, int, int]:
        """(major, minor, patch)"""
        major, minor, patch = self.partition("+")[0].partition("-")[0].split(".")
        return int(major), int(minor), int(patch)

    @property
    def pre_release(self) -> str:
        """What stands behind the dash, or ``""``."""
        return self.partition("+")[0].partition("-")[2]

    @property
    def metadata(self) -> str:
        """What stands behind the plus sign, or ``""``."""
        return self.partition("+")[2]

    def __lt__(self, other: str) -> bool:
        return _compare(self, SemVer(other)) < 0

    def __gt__(self, other: str) -> bool:
        return _compare(self, SemVer(other)) > 0

    def __le__(self, other: str) -> bool:
        return _compare(self, SemVer(other)) <= 0

    def __ge__(self, other: str) -> bool:
        return _compare(self, SemVer(other)) >= 0


def _is_int64(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text.lstrip("0")) <= 19 and int(text) < 2**63


def _compare(left: SemVer, right: SemVer) -> int:
    if left.numbers != right.numbers:
        return -1 if left.numbers < right.numbers else 1
    if not left.pre_release or not right.pre_release:
        return bool(right.pre_release) - bool(left.pre_release)
    return _compare_pre_releases(left.pre_release.split("."), right.pre_release.split("."))


def _compare_pre_releases(left: list[str], right: list[str]) -> int:
    for index, mine in enumerate(left):
        if index >= len(right):
            return 1
        yours = right[index]
        if mine == yours:
            continue
        if _is_int64(mine) and _is_int64(yours) and int(mine) != int(yours):
            return -1 if int(mine) < int(yours) else 1
        return -1 if mine < yours else 1
    return 0 if len(left) == len(right) else -1

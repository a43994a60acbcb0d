"""Versions of the CNI specification, what came with which, and the one that all sides know."""

from __future__ import annotations

from carob.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KNOWN = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
UNSAID = "0.1.0"
"""The version of a configuration that names none."""


def is_version(text: str) -> bool:
    """Whether it has the form of a version: three numbers, perhaps with a pre-release after ``-``."""
    numbers = text.partition("-")[0].split(".")
    return len(numbers) == 3 and all(part.isascii() and part.isdigit() and len(part) < 9 for part in numbers)


def _key(version: str) -> tuple[int, int, int]:
    major, minor, patch = version.partition("-")[0].split(".")
    return int(major), int(minor), int(patch)


def at_least(version: str, other: str) -> bool:
    """Whether ``version`` is ``other`` or newer."""
    return _key(version) >= _key(other)


def has_check(version: str) -> bool:
    """Whether plugins are asked to CHECK, and get the result of ADD at DEL."""
    return at_least(version, "0.4.0")


def has_gc(version: str) -> bool:
    """Whether plugins know GC and STATUS."""
    return at_least(version, "1.1.0")


def choose(offered: Sequence[str], what: str, plugins: Iterable[tuple[str, Sequence[str]]] = ()) -> str:
    """The newest version that the configuration offers and carob and all plugins know.

    ``plugins`` are pairs of a plugin's type and the versions it supports. ``what`` names the configuration in
    the error, ``Unsupported`` where there is no such version.
    """
    common = [version for version in offered if version in KNOWN]
    if not common:
        raise Unsupported(
            f"{what} is of CNI version {' or '.join(offered)}; carob knows {KNOWN[0]} to {KNOWN[-1]}"
        )
    for plugin, supported in plugins:
        left = [version for version in common if version in supported]
        if not left:
            raise Unsupported(
                f"{what} needs CNI version {' or '.join(common)}, which its plugin {plugin} does not support",
                hint=f"{plugin} supports {', '.join(supported) or 'no version'}",
            )
        common = left
    return max(common, key=_key)

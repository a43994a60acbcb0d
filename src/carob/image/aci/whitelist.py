"""``pathWhitelist``: which files an image, and all below it, leave in the rendered root file system. Pure.

Source: appc specification, aci.md ("pathWhitelist") and ace.md ("Filesystem Setup"). The list is complete: a
directory that is listed comes without what is in it. Directories above a listed path come with it.
"""

from __future__ import annotations

import posixpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Whitelist:
    """One list; paths of files are relative to the root, without slashes at either end."""

    __slots__ = ("_above", "_listed")

    def __init__(self, paths: Iterable[str]) -> None:
        self._listed: set[bytes] = set()
        self._above: set[bytes] = {b""}
        for path in paths:
            listed = posixpath.normpath("/" + path).strip("/").encode("utf-8", "surrogateescape")
            self._listed.add(listed)
            above = listed.rpartition(b"/")[0]
            while above not in self._above:
                self._above.add(above)
                above = above.rpartition(b"/")[0]

    def keeps(self, path: bytes, *, is_directory: bool) -> bool:
        """Whether a file stays."""
        return path in self._listed or (is_directory and path in self._above)


def is_kept(path: bytes, *, is_directory: bool, whitelists: Sequence[Whitelist]) -> bool:
    """Whether a file stays with every list on the way from its image to the topmost one."""
    return all(whitelist.keeps(path, is_directory=is_directory) for whitelist in whitelists)

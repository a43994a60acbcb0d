"""What may be said of a pod beside its apps: the keywords of ``Engine.run`` and ``prepare``, said once.

For type checkers, and for who passes them on: ``def my_run(**options: Unpack[PodOptions])``. Nothing of
carob loads this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carob.engine.images import Pull
    from carob.engine.request import Network


class PodOptions(TypedDict, total=False):
    """The keywords of ``PodRequest``, which says what they mean, checks them, and has their defaults."""

    name: str
    network: Network
    hostname: str | None
    grace_s: float
    runtime: str
    overlay: bool
    annotations: Mapping[str, str] | None
    pull: Pull
    insecure: str

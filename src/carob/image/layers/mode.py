"""By whom, and so in which form, layers are unpacked."""

from __future__ import annotations

import enum
import os

from carob.image.files.overlay import OverlayForm

_WHOLE_MAP = ["0", "0", str((1 << 32) - 1)]


class UnpackMode(enum.Enum):
    """What the unpacking process may do.

    - ``ROOT``: all that an archive can say; overlay's attributes in the form for root's mounts.
    - ``MAPPED``: in a user namespace with a range of owners. Device nodes cannot be made and are left out (a
      pod's ``/dev`` is the runtime's); an owner outside the range is an error.
    - ``SINGLE``: in a user namespace with the caller alone. All files are the caller's, who is root in there.
    """

    ROOT = "root"
    MAPPED = "mapped"
    SINGLE = "single"

    @property
    def form(self) -> OverlayForm:
        """The form of the layers."""
        return OverlayForm.TRUSTED if self is UnpackMode.ROOT else OverlayForm.USER

    @property
    def keeps_owners(self) -> bool:
        """Whether files get the owners that the archive says."""
        return self is not UnpackMode.SINGLE

    @property
    def makes_devices(self) -> bool:
        """Whether device nodes are made."""
        return self is UnpackMode.ROOT


def mode_here() -> UnpackMode | None:
    """What this process may do as it is; ``None`` where it needs a user namespace first."""
    if os.geteuid() != 0:
        return None
    with open("/proc/self/uid_map", encoding="ascii") as file:
        ranges = [line.split() for line in file]
    if ranges == [_WHOLE_MAP]:
        return UnpackMode.ROOT
    owners = sum(int(length) for _, _, length in ranges)
    return UnpackMode.MAPPED if owners > 1 else UnpackMode.SINGLE

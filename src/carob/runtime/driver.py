"""Which OCI runtime is at hand."""

from __future__ import annotations

import os

from carob.errors import InvalidInput, Unsupported

KNOWN = ("crun", "runc")
_SEARCH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class Runtime:
    """An OCI runtime: its ``name`` (crun or runc, which decides its flags) and absolute ``path``."""

    __slots__ = ("name", "path")

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path

    def __repr__(self) -> str:
        return f"Runtime({self.name!r}, {self.path!r})"


def find(wanted: str = "") -> Runtime:
    """The runtime asked for, by name or path; crun before runc where none is.

    Raises ``InvalidInput`` for one that carob does not know, ``Unsupported`` where none is installed, or
    another user than root asks for runc, which does nothing without a cgroup of its own.
    """
    if os.geteuid() != 0:
        if os.path.basename(wanted) == "runc":
            raise Unsupported("runc runs pods for root alone", hint="crun does for you too: --runtime=crun")
        wanted = wanted or "crun"
    if "/" in wanted:
        name = os.path.basename(wanted)
        if name not in KNOWN:
            raise InvalidInput(f"unknown runtime {wanted}", hint="carob drives crun and runc")
        if not os.access(wanted, os.X_OK):
            raise Unsupported(f"the runtime {wanted} cannot be executed")
        return Runtime(name, os.path.realpath(wanted))
    if wanted and wanted not in KNOWN:
        raise InvalidInput(f"unknown runtime {wanted!r}", hint="carob drives crun and runc")
    for name in (wanted,) if wanted else KNOWN:
        for directory in _SEARCH:
            path = f"{directory}/{name}"
            if os.access(path, os.X_OK):
                return Runtime(name, os.path.realpath(path))
    raise Unsupported(
        f"no OCI runtime: {wanted or ' or '.join(KNOWN)} is not installed",
        hint="apt-get install --no-install-recommends crun; carob doctor tells what else is missing",
    )

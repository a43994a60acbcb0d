"""The OCI runtime as init runs it: from a descriptor, in init's own small root."""

from __future__ import annotations

import os
from _signal import SIGPIPE, SIGXFSZ
from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE, fcntl
from stat import S_ISFIFO

from carob.supervisor import inheritance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR": "/run"}
_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE


class Runtime:
    """The runtime's program, by its path on the host. ``name`` is crun or runc.

    An app could overwrite the program through ``/proc/self/exe`` of a runtime that enters it (CVE-2019-5736),
    so crun copies itself to sealed memory and executes itself anew, each time it is called. A copy made
    here is shared by all apps of the pod, and crun finds that it is sealed already: 2 ms less for each.

    Apps are limited to the descriptors that init has at this point; init itself takes all that it may.
    ``root`` is who root of the pod is, where that is somebody else (user and group).
    """

    def __init__(self, path: str) -> None:
        self._descriptors, self._most_descriptors = inheritance.limit(inheritance.NOFILE)
        inheritance.set_limit(inheritance.NOFILE, self._most_descriptors, self._most_descriptors)
        self.root: tuple[int, int] | None = None
        self.name = os.path.basename(path)
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._sealed = self._seal() if self.name == "crun" else -1

    def _seal(self) -> int:
        copy = os.memfd_create("crun", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        left = os.fstat(self._file).st_size
        offset = 0
        while left > 0:
            sent = os.sendfile(copy, self._file, offset, left)
            if sent == 0:
                raise OSError(f"the runtime {self.name} changed while it was read")
            offset += sent
            left -= sent
        os.fchmod(copy, 0o700)
        fcntl(copy, F_ADD_SEALS, _SEALS)
        return copy

    def settle(self) -> None:
        """All apps run: the copy's memory is given back, and the runtime guards itself from now on."""
        if self._sealed >= 0:
            os.close(self._sealed)
            self._sealed = -1

    def spawn(self, argv: list[str], stdin: int | None, stdout: int, stderr: int) -> int:
        """Starts the runtime with these streams (no stdin: ``/dev/null``); returns its pid."""
        actions: list[tuple[Any, ...]] = []
        if stdin is None:
            actions.append((os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, stdin, 0))
        if self.root is not None:
            _give_away((stdin, stdout, stderr), self.root)
        actions += [(os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)]
        program = self._sealed if self._sealed >= 0 else self._file
        inheritance.set_limit(inheritance.NOFILE, self._descriptors, self._most_descriptors)
        try:
            return os.posix_spawn(
                f"/proc/self/fd/{program}", argv, _ENVIRONMENT,
                file_actions=actions, setsigmask=[], setsigdef=[SIGPIPE, SIGXFSZ],
            )  # fmt: skip
        finally:
            inheritance.set_limit(inheritance.NOFILE, self._most_descriptors, self._most_descriptors)


def _give_away(streams: tuple[int | None, ...], owner: tuple[int, int]) -> None:
    """Gives the pipes to somebody who may open them anew, by ``/dev/stdout``, or give them on."""
    for one in streams:
        if one is not None and S_ISFIFO(os.fstat(one).st_mode):
            os.fchown(one, *owner)

"""Giving up all rights (setresuid(2), capset(2)), for processes that deal with strangers."""

from __future__ import annotations

import os

from carob.linux.syscall import SYS_CAPSET, syscall

_NOBODY = 65534
_OF_THIS_PROCESS = (0x20080522).to_bytes(4, "little") + bytes(4)  # capset(2), version 3
_NOTHING = bytes(24)


def become_nobody() -> None:
    """Makes this process, of one thread, nobody without groups and capabilities.

    In a user namespace that has not got that number it stays root, without capabilities; should it execute
    a program, that would have them again, unless no new privileges are to be had. Raises ``OSError``.
    """
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        pass
    syscall(SYS_CAPSET, _OF_THIS_PROCESS, _NOTHING)

"""Limits of the machine, and its clock."""

from __future__ import annotations

import resource
import time

from carob.engine.doctor.check import FAILED, LACKING, OK, Check, wanted
from carob.linux import syscall as _sys
from carob.linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_INSTANCES = 128
_WATCHES = 8192
_DESCRIPTORS = 4096
_FIRST_POSSIBLE_S = 1_735_689_600  # 2025: before that no carob was made
_TIMEX_BYTES = 208
_STATUS_AT = 40
_STA_UNSYNC = 0x40


def checks() -> Iterable[Check]:
    """All about the machine."""
    for name, least in (("max_user_instances", _INSTANCES), ("max_user_watches", _WATCHES)):
        found = _number(f"/proc/sys/fs/inotify/{name}")
        yield wanted(
            "limits", f"inotify {name}", there=found >= least, found=str(found),
            mend=f"sysctl -w fs.inotify.{name}={least}: without, waits look from time to time",
        )  # fmt: skip
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield wanted(
        "limits", "open files", there=hard < 0 or hard >= _DESCRIPTORS,
        found="unlimited" if hard < 0 else str(hard),
        mend=f"raise the hard limit to {_DESCRIPTORS} or more: LimitNOFILE= of the unit, or limits.conf",
    )  # fmt: skip
    yield _clock()


def _clock() -> Check:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if time.time() < _FIRST_POSSIBLE_S:
        return Check(
            "clock", "time", FAILED, now, "set the clock: certificates of registries are judged by it"
        )
    timex = bytearray(_TIMEX_BYTES)
    try:
        _sys.syscall(_sys.SYS_ADJTIMEX, _sys.address_of(timex))
    except OSError as error:
        return Check("clock", "time", OK, f"{now} ({error.strerror}: whether it is kept is not known)")
    status = int.from_bytes(timex[_STATUS_AT : _STATUS_AT + 4], "little")
    if status & _STA_UNSYNC:
        mend = "timedatectl set-ntp true, or another that keeps it"
        return Check("clock", "time", LACKING, f"{now}, kept by nobody", mend)
    return Check("clock", "time", OK, f"{now}, kept")


def _number(path: str) -> int:
    try:
        return int(read_file(path))
    except (OSError, ValueError):
        return 0

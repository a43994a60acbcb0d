"""Raw system calls through ``_ctypes``, for what ``os`` does not offer in Python 3.11.

Only the C core of ctypes is imported: the ``ctypes`` package costs each supervisor 0.6 MB and a
start-up four times as long. Every call raises ``OSError`` with the kernel's errno and the path
it was about. Numbers are those of x86-64 and of the generic table (arm64, riscv64).
"""

from __future__ import annotations

import os
from _ctypes import (  # type: ignore[import-not-found,unused-ignore]
    FUNCFLAG_CDECL,
    FUNCFLAG_PYTHONAPI,
    FUNCFLAG_USE_ERRNO,
    Array,
    CFuncPtr,
    _SimpleCData,
    addressof,
    dlopen,
    dlsym,
    get_errno,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    class _Long(_SimpleCData[int]):
        pass

    class _Byte(_SimpleCData[int]):
        pass

else:

    class _Byte(_SimpleCData):
        _type_ = "B"

    class _Long(_SimpleCData):
        _type_ = "l"


class _Function(CFuncPtr):  # type: ignore[misc,unused-ignore]
    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
    _restype_ = _Long


class _FunctionHoldingGil(CFuncPtr):  # type: ignore[misc,unused-ignore]
    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO | FUNCFLAG_PYTHONAPI
    _restype_ = _Long


_process = dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]
_syscall = _Function(dlsym(_process, "syscall"))
_syscall_holding_gil = _FunctionHoldingGil(dlsym(_process, "syscall"))

# The calls that x86-64 numbers in its own way; all newer ones (from 424 on) are the same everywhere.
_X86_64 = os.uname().machine == "x86_64"
SYS_MOUNT = 165 if _X86_64 else 40
SYS_UMOUNT2 = 166 if _X86_64 else 39
SYS_PIVOT_ROOT = 155 if _X86_64 else 41
SYS_UNSHARE = 272 if _X86_64 else 97
SYS_SETNS = 308 if _X86_64 else 268
SYS_PRCTL = 157 if _X86_64 else 167
SYS_SETFSUID = 122 if _X86_64 else 151
SYS_SETFSGID = 123 if _X86_64 else 152
SYS_CAPGET = 125 if _X86_64 else 90
SYS_CAPSET = 126 if _X86_64 else 91
SYS_SYNCFS = 306 if _X86_64 else 267
SYS_SETHOSTNAME = 170 if _X86_64 else 161
SYS_RENAMEAT2 = 316 if _X86_64 else 276
SYS_INOTIFY_INIT1 = 294 if _X86_64 else 26
SYS_INOTIFY_ADD_WATCH = 254 if _X86_64 else 27
SYS_INOTIFY_RM_WATCH = 255 if _X86_64 else 28
SYS_GETDENTS64 = 217 if _X86_64 else 61
SYS_FSTATFS = 138 if _X86_64 else 44
SYS_PRLIMIT64 = 302 if _X86_64 else 261
SYS_SETPRIORITY = 141 if _X86_64 else 140
SYS_SCHED_SETSCHEDULER = 144 if _X86_64 else 119
SYS_SCHED_SETAFFINITY = 203 if _X86_64 else 122
SYS_IOPRIO_SET = 251 if _X86_64 else 30
SYS_SET_MEMPOLICY = 238 if _X86_64 else 237
SYS_PERSONALITY = 135 if _X86_64 else 92
SYS_ADJTIMEX = 159 if _X86_64 else 171
SYS_PIDFD_SEND_SIGNAL = 424
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_CLONE3 = 435
SYS_CLOSE_RANGE = 436
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442

RENAME_NOREPLACE = 1


def _argument(value: int | str | bytes | None) -> object:
    if value is None:
        return _Long(0)
    if isinstance(value, int):
        return _Long(value)
    if isinstance(value, str):
        return os.fsencode(value) + b"\0"
    return value


def syscall(number: int, *arguments: int | str | bytes | None, path: object = None) -> int:
    """Makes one system call and returns its result.

    Strings go as NUL-terminated paths, bytes as they are, ``None`` as the null pointer. ``path`` is
    what the error names. The GIL is released meanwhile.
    """
    result: int = _syscall(_Long(number), *[_argument(value) for value in arguments])
    if result == -1:
        _raise(path)
    return result


def syscall_holding_gil(number: int, *arguments: int | str | bytes | None) -> int:
    """Like ``syscall``, without releasing the GIL: for calls that return twice."""
    result: int = _syscall_holding_gil(_Long(number), *[_argument(value) for value in arguments])
    if result == -1:
        _raise(None)
    return result


def _raise(path: object) -> NoReturn:
    number = get_errno()
    if path is None:
        raise OSError(number, os.strerror(number))
    raise OSError(number, os.strerror(number), path)


_byte_arrays: dict[int, Any] = {}


def address_of(buffer: bytearray) -> int:
    """The address of a bytearray's memory, good for as long as the caller keeps it and its size."""
    length = len(buffer)
    if length not in _byte_arrays:
        # A class made for a length: what ctypes' own `c_ubyte * length` does.
        members = {"_type_": _Byte, "_length_": length}
        _byte_arrays[length] = type(Array)("_Bytes", (Array,), members)  # type: ignore[misc,unused-ignore]
    return addressof(_byte_arrays[length].from_buffer(buffer))


def pointer_struct(words: tuple[int, ...]) -> bytes:
    """A C structure of 64-bit words in this machine's order (little-endian on all that carob runs on)."""
    return b"".join([word.to_bytes(8, "little") for word in words])


_ioctl = _Function(dlsym(_process, "ioctl"))


def ioctl(fd: int, request: int, buffer: bytearray) -> int:
    """Calls ioctl(2) with a buffer that the kernel may change."""
    result: int = _ioctl(_Long(fd), _Long(request), _Long(address_of(buffer)))
    if result == -1:
        _raise(None)
    return result


def python_call(name: str) -> None:
    """Calls a function of CPython's C API that takes and returns nothing."""
    _FunctionHoldingGil(dlsym(_process, name))()


def rename_noreplace(source: str, target: str, *, source_dir: int = -100, target_dir: int = -100) -> None:
    """Renames and never replaces (renameat2(2)); ``FileExistsError`` where the target is there."""
    syscall(SYS_RENAMEAT2, source_dir, source, target_dir, target, RENAME_NOREPLACE, path=source)


def syncfs(fd: int) -> None:
    """Writes back the whole file system that ``fd`` is on (syncfs(2))."""
    syscall(SYS_SYNCFS, fd)


def close_range(first: int, last: int) -> None:
    """Closes the descriptors ``first`` to ``last`` (close_range(2)); closed ones are passed over."""
    syscall(SYS_CLOSE_RANGE, first, last, 0)

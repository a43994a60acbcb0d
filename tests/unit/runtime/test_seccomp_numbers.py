"""The numbers of system calls, held against libseccomp's where it is here."""

from __future__ import annotations

import ctypes

import pytest

from carob.runtime.seccomp.numbers import numbers
from tests.needs import require

# By carob's names: libseccomp's, and how many calls both have to know for the comparison to mean something.
ARCHITECTURES = {
    "x86_64": (b"x86_64", 330),
    "i386": (b"x86", 380),
    "aarch64": (b"aarch64", 270),
    "arm": (b"arm", 350),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_numbers_are_those_of_libseccomp(name: str) -> None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        require(False, "needs libseccomp")
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    resolve = library.seccomp_syscall_resolve_num_arch
    resolve.restype, resolve.argtypes = ctypes.c_void_p, [ctypes.c_uint32, ctypes.c_int]
    its_name, least = ARCHITECTURES[name]
    token = library.seccomp_arch_resolve_name(its_name)
    shared = 0
    for call, number in numbers(name).items():
        address = resolve(token, number)
        if address is not None:  # newer than the library
            assert ctypes.string_at(address).decode() == call
            shared += 1
    assert shared >= least

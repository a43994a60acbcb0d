"""What the kinds of machines have to do with filters: their architectures, old ones included. Pure."""

from __future__ import annotations

from carob.runtime.seccomp.numbers import names, numbers
from carob.runtime.seccomp.rules import Rules

# By what uname(2) calls the machine: libseccomp's names, its own architecture first.
_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
}
# The same with what the kernel calls them (linux/audit.h), and the tables of their numbers.
_NUMBERED = {
    "x86_64": ((0xC000003E, "x86_64"), (0x40000003, "i386")),
    "aarch64": ((0xC00000B7, "aarch64"), (0x40000028, "arm")),
}
# What Go, and with it docker's profiles, call it.
_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "x86", "armv7l": "arm"}


def go_name(machine: str) -> str:
    """The machine's name in docker's profiles."""
    return _GO_NAMES.get(machine, machine)


def architectures(machine: str) -> tuple[str, ...]:
    """Those that programs here may be of; none for a machine that carob does not know: its own alone."""
    return _ARCHITECTURES.get(machine, ())


def has_numbers(machine: str) -> bool:
    """Whether carob can compile a filter itself."""
    return machine in _NUMBERED


def tables(machine: str) -> list[tuple[int, dict[str, int]]]:
    """For each architecture the kernel's word for it and its calls by name."""
    return [(audit, numbers(name)) for audit, name in _NUMBERED[machine]]


def default_rules(machine: str, lifted: frozenset[str]) -> Rules:
    """The default profile as it is on this machine."""
    if machine in _NUMBERED:
        known = frozenset[str]().union(*(table for _, table in tables(machine)))
    else:
        known = names()
    return Rules(known, lifted, clone_flags_at=1 if machine == "s390x" else 0)

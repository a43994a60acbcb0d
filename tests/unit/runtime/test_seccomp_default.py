"""The default filter: what is made beforehand is what the rules say, and it judges as they do."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from carob.runtime import capabilities
from carob.runtime.seccomp import default, made, rules
from carob.runtime.seccomp.machine import default_rules, tables
from carob.runtime.seccomp.program import compiled
from tests.unit.runtime.seccomp_machine import ALLOW, ENOSYS, EPERM, KILL, judge

X86_64, I386 = 0xC000003E, 0x40000003
MACHINES = ("x86_64", "aarch64")


def lifted(*more: str) -> frozenset[str]:
    return rules.lifted((*capabilities.DEFAULT, *more))


@pytest.mark.parametrize("machine", MACHINES)
def test_what_was_made_beforehand_is_what_the_rules_say(machine: str) -> None:
    assert frozenset(made.LIFTED) == lifted()
    anew = default._make(machine, lifted())
    usual = default.usual(machine)
    assert (usual.section, usual.program) == (anew.section, anew.program)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("more", [(), ("CAP_SYS_ADMIN",), ("CAP_SYS_PTRACE", "CAP_SYS_TIME")])
def test_the_program_judges_every_call_as_the_rules_do(machine: str, more: tuple[str, ...]) -> None:
    chosen = lifted(*more)
    program = compiled(machine, chosen)
    table = default_rules(machine, chosen)
    for audit, numbers in tables(machine):
        by_number = {number: name for name, number in numbers.items()}
        for number in (*range(700), *(one for one in by_number if one >= 700)):
            name = by_number.get(number, "")
            if name in table.checked:
                continue
            expected = ALLOW if name in table.allowed else EPERM if name in table.refused else ENOSYS
            assert judge(program, audit, number) == expected, (audit, number, name)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_section_and_the_program_say_the_same(machine: str) -> None:
    section = json.loads(default.usual(machine).section)
    allowed = {name for rule in section["syscalls"] if "args" not in rule for name in rule["names"]
               if rule["action"] == "SCMP_ACT_ALLOW"}  # fmt: skip
    program = b64decode(default.usual(machine).program)
    for audit, numbers in tables(machine):
        for name, number in numbers.items():
            if name not in default_rules(machine, lifted()).checked:
                assert (judge(program, audit, number) == ALLOW) == (name in allowed), name


PROGRAM = compiled("x86_64", lifted())
CLONE, SOCKET, PERSONALITY = 56, 41, 135


@pytest.mark.parametrize(
    ("call", "argument", "verdict"),
    [
        (CLONE, 0x11, ALLOW),
        (CLONE, 0x3D0F00, ALLOW),  # a thread, as the C library makes it
        *[(CLONE, bit | 0x11, EPERM) for bit in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000)],
        (CLONE, 0x20000000, EPERM),
        (CLONE, 0x40000000, EPERM),
        (CLONE, 1 << 40 | 0x20000, EPERM),  # the kernel looks at 32 bits
        *[(SOCKET, family, ALLOW) for family in (1, 2, 10, 16, 17, 37, 39, 44)],
        (SOCKET, 38, EPERM),
        (SOCKET, 40, EPERM),
        (SOCKET, 1 << 32 | 40, EPERM),
        (SOCKET, 48, EPERM),
        *[(PERSONALITY, value, ALLOW) for value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)],
        (PERSONALITY, 0x0040000, EPERM),  # no randomization of addresses
    ],
)
def test_arguments_that_decide(call: int, argument: int, verdict: int) -> None:
    assert judge(PROGRAM, X86_64, call, argument) == verdict


def test_a_call_that_is_not_yet_there_is_not_there() -> None:
    assert judge(PROGRAM, X86_64, 600) == ENOSYS
    assert judge(PROGRAM, I386, 600) == ENOSYS


def test_clone3_is_not_there_but_for_who_may_make_namespaces() -> None:
    assert judge(PROGRAM, X86_64, 435) == ENOSYS
    assert judge(compiled("x86_64", lifted("CAP_SYS_ADMIN")), X86_64, 435) == ALLOW


def test_the_numbers_of_x32_are_none() -> None:
    assert judge(PROGRAM, X86_64, 0x40000000) == ENOSYS


def test_another_architecture_is_killed() -> None:
    assert judge(PROGRAM, 0xC00000B7, 0) == KILL


@pytest.mark.parametrize(
    ("capability", "call"),
    [("CAP_SYS_ADMIN", "mount"), ("CAP_SYS_MODULE", "init_module"), ("CAP_BPF", "bpf")],
)
def test_a_capability_lifts_what_it_is_needed_for(capability: str, call: str) -> None:
    number = dict(tables("x86_64"))[X86_64][call]
    assert judge(PROGRAM, X86_64, number) == EPERM
    assert judge(compiled("x86_64", lifted(capability)), X86_64, number) == ALLOW


def test_a_machine_without_numbers_has_a_section_alone() -> None:
    found = default.for_capabilities("s390x", capabilities.DEFAULT)
    assert found.program == ""
    section = json.loads(found.section)
    (clone,) = [rule for rule in section["syscalls"] if rule["names"] == ["clone"]]
    assert clone["args"][0]["index"] == 1


def test_nothing_dangerous_is_let_through() -> None:
    names = (
        "add_key bpf clone clone3 fsopen io_uring_setup kexec_load keyctl mount move_mount open_by_handle_at"
        " perf_event_open pivot_root setns swapon umount2 unshare userfaultfd"
    )
    assert not default_rules("x86_64", lifted()).allowed.intersection(names.split())

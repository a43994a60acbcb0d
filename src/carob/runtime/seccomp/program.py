"""The rules compiled: a classic BPF program as seccomp(2) takes it. Pure.

crun takes such a program as it is (crun(1), ``run.oci.seccomp_bpf_data``); to have libseccomp make one from
the rules, at each start and for each architecture, costs it as much as all the rest of a start. Runs of
numbers with one answer are found by bisection, so that a call is judged in about eight steps.
"""

from __future__ import annotations

from carob.runtime.seccomp.document import ENOSYS, EPERM
from carob.runtime.seccomp.machine import default_rules, tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from carob.runtime.seccomp.rules import Rules

    Instruction: TypeAlias = tuple[int, int, int, int]
    Answer: TypeAlias = "int | str"

# linux/bpf_common.h: operation, and jumps over how many instructions if true and if false.
_LOAD = 0x20
_AND = 0x54
_JUMP = 0x05
_JUMP_IF_EQUAL = 0x15
_JUMP_IF_GREATER_OR_EQUAL = 0x35
_RETURN = 0x06
_FARTHEST = 255
# linux/seccomp.h: what a program returns, and where it finds what (struct seccomp_data, little-endian).
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_NUMBER_AT = 0
_ARCHITECTURE_AT = 4
_ARGUMENTS_AT = 16
_ALL_BITS = 0xFFFFFFFF


def compiled(machine: str, lifted: frozenset[str]) -> bytes:
    """The default profile of a machine that `machine.has_numbers`. An unknown architecture is killed."""
    rules = default_rules(machine, lifted)
    code: list[Instruction] = [(_LOAD, 0, 0, _ARCHITECTURE_AT)]
    for audit, table in tables(machine):
        block = [(_LOAD, 0, 0, _NUMBER_AT), *_decide(_runs(rules, table), rules)]
        code += [(_JUMP_IF_EQUAL, 1, 0, audit), (_JUMP, 0, 0, len(block)), *block]
    code.append((_RETURN, 0, 0, _KILL_PROCESS))
    return b"".join([_packed(*instruction) for instruction in code])


def _packed(operation: int, if_true: int, if_false: int, operand: int) -> bytes:
    return operation.to_bytes(2, "little") + bytes((if_true, if_false)) + operand.to_bytes(4, "little")


def _runs(rules: Rules, table: dict[str, int]) -> list[tuple[int, Answer]]:
    """First numbers of runs with the same answer: what to return, or the name of a call to be checked."""
    answers: dict[int, Answer] = {}
    for name, number in table.items():
        if name in rules.checked:
            answers[number] = name
        elif name in rules.allowed:
            answers[number] = _ALLOW
        elif name in rules.refused:
            answers[number] = _ERRNO | EPERM
    nobody = _ERRNO | ENOSYS
    runs: list[tuple[int, Answer]] = [(0, answers.get(0, nobody))]
    for number in sorted({one + step for one in answers for step in (0, 1)}):
        if (answer := answers.get(number, nobody)) != runs[-1][1]:
            runs.append((number, answer))
    return runs


def _decide(runs: list[tuple[int, Answer]], rules: Rules) -> list[Instruction]:
    """Code that finds the run of the number at hand and returns its answer."""
    if len(runs) == 1:
        answer = runs[0][1]
        return _check(*rules.checked[answer]) if isinstance(answer, str) else [(_RETURN, 0, 0, answer)]
    middle = len(runs) // 2
    lower, upper = _decide(runs[:middle], rules), _decide(runs[middle:], rules)
    first = runs[middle][0]
    if len(lower) <= _FARTHEST:
        return [(_JUMP_IF_GREATER_OR_EQUAL, len(lower), 0, first), *lower, *upper]
    return [(_JUMP_IF_GREATER_OR_EQUAL, 0, 1, first), (_JUMP, 0, 0, len(lower)), *lower, *upper]


def _check(index: int, pairs: tuple[tuple[int, int], ...]) -> list[Instruction]:
    """Code that lets pass where the lower half of an argument fits one of the pairs of mask and value."""
    code: list[Instruction] = [(_RETURN, 0, 0, _ERRNO | EPERM), (_RETURN, 0, 0, _ALLOW)]
    for mask, value in reversed(pairs):
        code.insert(0, (_JUMP_IF_EQUAL, len(code) - 1, 0, value))
        if mask != _ALL_BITS:
            code.insert(0, (_AND, 0, 0, mask))
        code.insert(0, (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * index))
    return code

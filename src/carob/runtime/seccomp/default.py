"""The filter of an app that asks for none in particular: text made beforehand, or made now. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_made: dict[tuple[str, frozenset[str]], Filter] = {}


class Filter:
    """A filter as it is written down.

    ``section`` is the JSON text of ``linux.seccomp``; ``program`` the same compiled, in base64, for a runtime
    that takes one (crun), or ``""``. A runtime that knows ``program`` does not look at ``section``.
    """

    __slots__ = ("program", "section")

    def __init__(self, section: str, program: str = "") -> None:
        self.section = section
        self.program = program


def usual(machine: str) -> Filter:
    """That of an app with the default capabilities."""
    from carob.runtime.seccomp import made

    if machine in made.SECTIONS:
        return Filter(made.SECTIONS[machine], made.PROGRAMS[machine])
    return _make(machine, frozenset(made.LIFTED))


def for_capabilities(machine: str, capabilities: Collection[str]) -> Filter:
    """That of an app with these capabilities, which lift what they are needed for."""
    from carob.runtime.seccomp.made import LIFTED
    from carob.runtime.seccomp.rules import lifted

    found = lifted(capabilities)
    return usual(machine) if found == frozenset(LIFTED) else _make(machine, found)


def _make(machine: str, lifted: frozenset[str]) -> Filter:
    """Takes 1 ms; an engine that makes many such pods makes it once."""
    key = (machine, lifted)
    if key not in _made:
        from carob.protocol.compact_json import dumps
        from carob.runtime.seccomp.document import of_rules
        from carob.runtime.seccomp.machine import default_rules, has_numbers

        section = dumps(of_rules(default_rules(machine, lifted), machine))
        _made[key] = Filter(section, _program(machine, lifted) if has_numbers(machine) else "")
    return _made[key]


def _program(machine: str, lifted: frozenset[str]) -> str:
    from binascii import b2a_base64

    from carob.runtime.seccomp.program import compiled

    return b2a_base64(compiled(machine, lifted), newline=False).decode()

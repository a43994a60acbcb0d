"""Writes ``carob/runtime/seccomp/made.py`` anew: ``python -m tests.unit.runtime.seccomp_made --write``."""

from __future__ import annotations

import sys
from pathlib import Path

from carob.runtime import capabilities
from carob.runtime.seccomp import default, made, rules

MACHINES = ("x86_64", "aarch64")
_WIDTH = 97
_HEAD = '''"""The default profile for the default capabilities, rendered and compiled.

`rules`, `document` and `program` say what it is; a test holds them together, and
``python -m tests.unit.runtime.seccomp_made --write`` writes this file: to make it at each start would take
1 ms. By machine (uname(2)): JSON text, and a BPF program in base64.
"""
'''


def text() -> str:
    """What the file should be."""
    lifted = rules.lifted(capabilities.DEFAULT)
    found = {machine: default._make(machine, lifted) for machine in MACHINES}
    parts = [
        _HEAD,
        f"\nLIFTED = ({', '.join(map(_quoted, sorted(lifted)))},)\n",
        _table("SECTIONS", {machine: one.section for machine, one in found.items()}),
        _table("PROGRAMS", {machine: one.program for machine, one in found.items()}),
    ]
    return "".join(parts)


def _table(name: str, by_machine: dict[str, str]) -> str:
    lines = [f"{name} = {{\n"]
    for machine, whole in by_machine.items():
        lines.append(f'    "{machine}": (\n')
        lines += [f"        {_literal(whole[at : at + _WIDTH])}\n" for at in range(0, len(whole), _WIDTH)]
        lines.append("    ),\n")
    return "".join([*lines, "}  # fmt: skip\n"])


def _literal(piece: str) -> str:
    return f"'{piece}'" if '"' in piece else _quoted(piece)


def _quoted(piece: str) -> str:
    return f'"{piece}"'


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    assert made.__file__ is not None
    Path(made.__file__).write_text(text(), encoding="utf-8")

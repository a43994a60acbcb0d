"""Runs a supervisor whose monitor rests soon: soon_resting_supervisor.py PROGRAM ARGUMENT…"""

from __future__ import annotations

import sys


def main() -> None:
    program = sys.argv[1]
    sys.argv = ["-c", *sys.argv[2:]]
    # Only now is carob found: the program says where.
    soon = "from carob.supervisor import rest; rest.AFTER_S = 0.1"
    head, _, tail = program.partition("from carob.supervisor")
    exec(compile(f"{head}{soon}; from carob.supervisor{tail}", "<string>", "exec"), {"__name__": "__main__"})


main()

"""Which part of carob a task is: told by its program, and by whose child it is."""

from __future__ import annotations

import os

CALLER, STARTER, MONITOR, INIT, INIT_CHILD, HELPER, RUNTIME, APP = (
    "caller", "starter", "monitor", "init", "init's child", "helper", "runtime", "app",
)  # fmt: skip
KILLED = (CALLER, STARTER, MONITOR, INIT, INIT_CHILD, HELPER, RUNTIME)


class Roles:
    """The roles of the tasks of one operation, by task id."""

    def __init__(self) -> None:
        self._by_task: dict[int, str] = {}
        self._programs: dict[int, str] = {}

    def __getitem__(self, pid: int) -> str:
        return self._by_task[pid]

    def is_known(self, pid: int, role: str) -> None:
        """Takes the role of a process that was there before as given."""
        self._by_task[pid] = role

    def process_of(self, pid: int) -> int:
        """The process that a task is a thread of."""
        return int(_status(pid)["Tgid"])

    def became(self, pid: int) -> bool:
        """Learns of a new task, or of a new program in one; says whether it is still carob's."""
        role = self._role(pid)
        self._by_task[pid] = role
        return role != APP

    def _role(self, pid: int) -> str:
        before = self._by_task.get(pid)
        if before is None:
            return self._of_new(pid)
        program, command = _program(pid)
        if "carob.supervisor.boot" in command:
            return STARTER
        if before == INIT_CHILD:
            self._programs[pid] = program
            return RUNTIME
        if before == RUNTIME and program != self._programs.get(pid, self._runtime(program)):
            return APP
        return before

    def _runtime(self, program: str) -> str:
        """What a child of the runtime may be and still belong to it."""
        return program if program in self._programs.values() else ""

    def _of_new(self, pid: int) -> str:
        if CALLER not in self._by_task.values():
            return CALLER
        fields = _status(pid)
        thread_of = int(fields["Tgid"])
        if thread_of != pid:
            return self._by_task[thread_of]
        parent = self._by_task.get(int(fields["PPid"]), "")
        is_first = fields["NSpid"].split()[-1] == "1"
        if parent == STARTER or (not parent and not is_first):
            return MONITOR
        if parent == MONITOR or (not parent and is_first):
            return INIT if is_first else HELPER
        if parent == INIT:
            return INIT_CHILD
        return parent


def _program(pid: int) -> tuple[str, str]:
    try:
        program = os.readlink(f"/proc/{pid}/exe")
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            command = file.read()
    except OSError:
        return "", ""
    return os.path.basename(program.removesuffix(" (deleted)")), command


def _status(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

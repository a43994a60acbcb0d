"""A journal of a pod's logs, for pods that ask for one: a process of init's reads the logs and writes it.

What it needs is loaded before init lets go of the host's tree. It is woken like whoever follows the logs, so
neither the apps nor init ever wait for it, and what it has not read when a pod is killed is missing from the
journal alone.
"""

from __future__ import annotations

import os
import select
import time
from _signal import SIG_DFL, SIGCHLD, set_wakeup_fd, signal

from carob.linux import namespaces
from carob.linux.process import boot_id
from carob.linux.syscall import close_range
from carob.logs.cursor import Cursor
from carob.logs.entry import STREAMS
from carob.logs.journal.entries import JournalEntries
from carob.logs.journal.file import JournalFile
from carob.protocol import plan as plans
from carob.supervisor.journal import note, note_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from carob.logs.entry import LogEntry
    from carob.supervisor.followers import Followers

_LAST_WORDS_S = 10.0
_PIPE_BYTES = 1 << 16
_LAST_DESCRIPTOR = 0x7FFFFFFF
_SUFFIX = ".log"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class JournalHelper:
    """The process, from init's side. It is made before init's root is entered, and started after."""

    __slots__ = ("_boot_id", "_pid", "_pipe", "_plan")

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._boot_id = bytes.fromhex(boot_id().replace("-", ""))
        self._pid = 0
        self._pipe = -1

    def start(self, followers: Followers) -> None:
        """Forks it; ``followers`` wake it from then on."""
        reading, self._pipe = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if self._pid == 0:
            self._live(reading)
        os.close(reading)
        followers.add(self._pipe)

    def finish(self, followers: Followers) -> None:
        """Lets it read what was written last, for some seconds at most: the pod is over."""
        try:
            pidfd = os.pidfd_open(self._pid)
        except OSError:
            return  # it has ended long ago, and was reaped like any orphan
        followers.remove(self._pipe)
        waiting = select.poll()
        waiting.register(pidfd, select.POLLIN)
        if not waiting.poll(_LAST_WORDS_S * 1000):
            note("the journal's last words are missing: there was more to read than time")
        os.close(pidfd)

    def _live(self, pipe: int) -> NoReturn:
        status = 1
        try:
            set_wakeup_fd(-1)
            signal(SIGCHLD, SIG_DFL)
            close_range(3, pipe - 1)
            close_range(pipe + 1, _LAST_DESCRIPTOR)
            namespaces.set_process_name("carob-journal")
            _Journal(self._plan, self._boot_id).write(pipe)
            status = 0
        except BaseException as error:  # noqa: BLE001 - a fork of PID 1 never returns
            note_failure("journal", error)
        finally:
            os._exit(status)


class _Journal:
    """The loop of that process."""

    def __init__(self, plan: dict[str, Any], boot: bytes) -> None:
        machine = str(plan["uuid"]).replace("-", "")  # as in rkt: to journalctl each pod is a machine
        top = f"{plans.POD_AT}/{plan['status_dir']}/../../var/log/journal/{machine}"
        os.makedirs(top, 0o755, exist_ok=True)
        self._logs = os.open(
            f"{plans.POD_AT}/{plans.LOG_DIRECTORY}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        )
        fd = os.open(f"{top}/system.journal", _FLAGS, 0o640)
        self._file = JournalFile(fd, machine_id=bytes.fromhex(machine), boot_id=boot)
        self._entries = JournalEntries(
            self._file,
            pod=str(plan["uuid"]),
            hostname=str(plan["hostname"]),
            machine_id=machine,
            boot_id=boot.hex(),
            epoch_us=(time.time_ns() - time.monotonic_ns()) // 1000,
        )
        self._cursors: dict[str, Cursor] = {}

    def write(self, pipe: int) -> None:
        """Writes what the apps write, until the other end of the pipe is closed and all is read."""
        while True:
            over = not os.read(pipe, _PIPE_BYTES)
            while self._read_on():
                self._file.flush()
            if over:
                break
        for name, cursor in self._cursors.items():
            self._entries.add([(name.removesuffix(_SUFFIX), entry) for entry in cursor.finish()])
        self._entries.finish()
        self._file.finish()

    def _read_on(self) -> bool:
        """Takes one piece of each log; False where there is nothing new."""
        for name in os.listdir(self._logs):
            if name.endswith(_SUFFIX) and not name.startswith(".") and name not in self._cursors:
                self._cursors[name] = Cursor(self._logs, name, None, STREAMS)
        found: list[tuple[str, LogEntry]] = []
        anything = False
        for name, cursor in self._cursors.items():
            entries = cursor.read()
            anything = anything or entries is not None
            found += [(name.removesuffix(_SUFFIX), entry) for entry in entries or ()]
        found.sort(key=lambda one: one[1].time_ns)
        self._entries.add(found)
        return anything

"""``carob api-service`` as a process, for tests: what it is told, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any


class ApiService:
    """One service on a data directory. ``serving`` is what it said when it was ready."""

    def __init__(
        self,
        data_dir: str | Path,
        *words: str,
        env: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        python: tuple[str, ...] = ("-m", "carob"),
    ) -> None:
        """Return when it serves; ``AssertionError`` with its words where it ends instead.

        ``python`` are the words for the interpreter that come before the command's.
        """
        self.process = subprocess.Popen(
            [sys.executable, *python, "--dir", str(data_dir), "api-service", *words],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | (env or {}),
            pass_fds=pass_fds,
        )
        self.log: list[dict[str, Any]] = []
        self.serving = self._until_it_serves()

    def _until_it_serves(self) -> dict[str, Any]:
        assert self.process.stderr is not None
        said = []
        for raw in self.process.stderr:
            said.append(raw.decode())
            if raw.startswith(b"{"):
                self.log.append(json.loads(raw))
                if self.log[-1]["event"] == "serving":
                    return self.log[-1]
        self.process.wait()
        self.process.stderr.close()
        raise AssertionError("".join(said))

    @property
    def target(self) -> str:
        """Where clients of gRPC go."""
        return str(self.serving["listen"][0])

    @property
    def pid(self) -> int:
        """The process's."""
        return self.process.pid

    def rss_kib(self, field: str = "VmRSS") -> int:
        """Return what it has in memory."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith(field)))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal; return its exit status. The rest of what it said is in ``log``."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=30)
        self.log += [json.loads(raw) for raw in (rest or b"").splitlines() if raw.endswith(b"}")]
        return self.process.returncode

    def end(self) -> None:
        """See to it that it is gone."""
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)

"""The measuring side of ``bench.spawn_worker``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from bench.figure import Unmeasurable


class Spawner:
    """Starts commands in a small process and times them there; if ``private``, in its own mount namespace."""

    def __init__(self, *, private: bool = False) -> None:
        argv = [sys.executable, "-m", "bench.spawn_worker"]
        if private:
            argv = ["unshare", "--mount", "--propagation", "private", *argv, "private"]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._requests, self._answers = process, process.stdin, process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._requests.close()
        self._process.wait(timeout=60)
        self._answers.close()

    def run(
        self,
        *commands: Sequence[str],
        environment: Mapping[str, str] | None = None,
        ok: Sequence[int] = (0,),
        await_stragglers: bool = True,
    ) -> tuple[float, str]:
        """Runs the commands side by side to their ends; returns (milliseconds, what they wrote).

        With ``await_stragglers`` it returns when what they left running has ended, too; that is not counted.
        Raises ``Unmeasurable`` with the last line written where one ends with a status that is not in ``ok``.
        """
        answer = self._ask(commands, environment, ok, await_stragglers=await_stragglers)
        return float(answer["ms"]), str(answer["output"])

    def peak_mb(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> float:
        """Runs one command to its end; the most memory that it and all its children had at one time."""
        answer = self._ask([command], environment, (0,), measure_memory=True)
        return float(answer["peak_bytes"]) / 1e6

    def _ask(
        self,
        commands: Sequence[Sequence[str]],
        environment: Mapping[str, str] | None,
        ok: Sequence[int],
        *,
        await_stragglers: bool = True,
        measure_memory: bool = False,
    ) -> dict[str, Any]:
        request: dict[str, object] = {
            "commands": [list(argv) for argv in commands],
            "environment": dict(os.environ) if environment is None else dict(environment),
            "await_stragglers": await_stragglers,
            "measure_memory": measure_memory,
        }
        self._requests.write(json.dumps(request) + "\n")
        self._requests.flush()
        line = self._answers.readline()
        if not line:
            raise Unmeasurable("the process that starts commands has ended")
        answer: dict[str, Any] = json.loads(line)
        for argv, status in zip(commands, answer["statuses"], strict=True):
            if status not in ok:
                said = answer["output"].strip().splitlines() or ["it said nothing"]
                raise Unmeasurable(f"{' '.join(argv)[:200]}: status {status}: {said[-1][:300]}")
        return answer

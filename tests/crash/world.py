"""A data directory that operations are tried on, and what must hold in it whatever was killed.

Everything is asked of the program itself, from fresh processes, or of the kernel.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from carob.pod import State
from tests.architecture.sources import SRC
from tests.needs import static_busybox
from tests.root import host_view

CODE = 7
"""What apps of these operations exit with: an end that says anything else was made up."""
_STATES = frozenset(state.value for state in State)
_PATIENCE_S = 60.0


class Violation(Exception):
    """Something that must hold does not."""


class World:
    """One data directory with one image, put back to that by ``clean``."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.data_dir = str(top / "data")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(top / "home"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(SRC),
        }
        self._pristine: frozenset[str] = frozenset()
        self.image = top / "image.tar"

    def make(self) -> None:
        """Takes in the image ``busybox`` and has its layer unpacked; keeps it as an archive, too."""
        rootfs = self.top / "rootfs"
        (self.top / "home").mkdir(parents=True)
        (rootfs / "bin").mkdir(parents=True)
        shutil.copy(static_busybox(), rootfs / "bin/busybox")
        for applet in ("sh", "true", "sleep", "echo"):
            (rootfs / "bin" / applet).symlink_to("busybox")
        self.must("image", "import", str(rootfs), "--name", "busybox")
        self.must("image", "save", "--type", "oci-archive", "--output", str(self.image), "busybox")
        self.must("run", "--rm", "busybox", "--", "true")
        self.must("gc", "--grace-period=0s", "--expire-prepared=0s")
        self._pristine = self._files()

    def argv(self, *words: str) -> list[str]:
        """The command line of the program."""
        return [sys.executable, "-m", "carob", "--dir", self.data_dir, *words]

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs the program; ``Violation`` where it hangs, or shows its inside."""
        try:
            done = subprocess.run(
                self.argv(*words),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Violation(f"{' '.join(words)} hangs") from error
        if "Traceback" in done.stderr:
            raise Violation(f"{' '.join(words)}: {done.stderr}")
        return done

    def must(self, *words: str) -> str:
        """Runs what has to succeed, and returns what it printed."""
        done = self.call(*words)
        if done.returncode:
            raise Violation(f"{' '.join(words)} exits with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def pods(self) -> list[dict[str, Any]]:
        """All pods, as ``list`` tells of them."""
        found: list[dict[str, Any]] = json.loads(self.must("list", "--format=json"))
        return found

    def keepers(self) -> list[tuple[str, int]]:
        """The processes that keep the pods that run, each with its role."""
        found = []
        for directory in host_view.pod_directories(self.data_dir):
            pids = [pid for pid, _ in host_view.keepers(directory)]
            if pids and host_view.is_alive(pids[0]):
                found += [*zip(("init", "monitor"), pids, strict=True)]
        return found

    # -- what must hold

    def check(self) -> None:
        """After anything: states are the table's and true, ends are not made up, the next verbs work."""
        for pod in self.pods():
            if pod["state"] not in _STATES:
                raise Violation(f"a state that is none: {pod['state']!r}")
            self._check_pod(pod["uuid"], pod["state"])

    def _check_pod(self, uuid: str, state: str) -> None:
        told = self.call("status", "--format=json", uuid)
        if told.returncode:
            return  # it went meanwhile, or was never whole; rm and gc see to that below
        status = json.loads(told.stdout)
        alive = self._init_is_alive(uuid)
        if status["state"] == "running" and alive is False:
            time.sleep(0.2)  # init may have ended between the two looks
            if json.loads(self.must("status", "--format=json", uuid))["state"] == "running":
                raise Violation(f"{uuid} is said to run, and its init is gone")
        for app in status.get("apps", ()):
            self._check_end(app)

    def _check_end(self, app: dict[str, Any]) -> None:
        match app.get("end"):
            case None | {"kind": "unknown"} | {"kind": "signaled", "signal": 9 | 15} | {"code": 7}:
                return
            case _:
                raise Violation(f"an end that no app had: {app}")

    def _init_is_alive(self, uuid: str) -> bool | None:
        try:
            directory = host_view.pod_directory(self.data_dir, uuid)
        except FileNotFoundError:
            return None
        found = list(host_view.keepers(directory))
        return None if not found else host_view.is_alive(found[0][0])

    def clean(self) -> None:
        """Ends and removes all, by carob's verbs; then nothing may be left, on disk or in the kernel."""
        for pod in self.pods():
            uuid = pod["uuid"]
            if pod["state"] == "running":
                self.call("stop", "--grace=0s", uuid)
            removed = self.call("rm", "--force", uuid)
            if removed.returncode not in (0, 125):
                raise Violation(f"rm --force: {removed.returncode}: {removed.stderr}")
        self.must("gc", "--grace-period=0s", "--expire-prepared=0s")
        self.call("image", "rm", "other")
        self.must("image", "gc")
        self.must("image", "verify")
        deadline = time.monotonic() + 10
        while left := self._left():
            if time.monotonic() > deadline:
                raise Violation("left behind: " + "; ".join(left))
            time.sleep(0.05)
            self.must("gc", "--grace-period=0s", "--expire-prepared=0s")

    def _left(self) -> list[str]:
        found = [f"pod {path}" for path in host_view.pod_directories(self.data_dir)]
        found += [f"supervisor {pid}" for pid in host_view.own_supervisors_of(self.data_dir)]
        found += [f"process {pid}" for pid in host_view.pids() if self._is_ours(pid)]
        found += [f"file {name}" for name in sorted(self._files() - self._pristine)]
        return found

    def _is_ours(self, pid: int) -> bool:
        if pid == os.getpid():
            return False
        mounted = host_view.read(f"/proc/{pid}/mountinfo")
        mine = host_view.read("/proc/self/mountinfo")
        return self.data_dir in mounted and self.data_dir not in mine

    def _files(self) -> frozenset[str]:
        """What is in the data directory, but for records of ends and volumes, which are meant to stay."""
        found = set()
        for directory, names, files in os.walk(self.data_dir):
            shown = os.path.relpath(directory, self.data_dir)
            names[:] = [name for name in names if not (shown == "." and name in ("ended", "volumes"))]
            found |= {os.path.join(shown, name) for name in (*names, *files)}
        return frozenset(found)

    def start_afresh(self) -> None:
        """After a violation: one must not make the next."""
        self.remove()
        self.make()

    def remove(self) -> None:
        """Takes everything away, whatever it is in."""
        host_view.end_all(self.data_dir)
        shutil.rmtree(self.top, ignore_errors=True)

"""podman as it takes images in: with a storage of its own, made anew whenever that is wanted."""

from __future__ import annotations

import json
import os
import shutil
from types import TracebackType
from typing import Self

from bench.figure import Unmeasurable
from bench.places import Places
from bench.podman import LOCKS, unmount_below
from bench.spawner import Spawner

_POLICY = {"default": [{"type": "insecureAcceptAnything"}]}
_CONFIGURATION = '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n'


class PodmanStore:
    """An ``ImageStore``: overlay's where that works here. It writes no events and checks no signatures."""

    def __init__(self, directory: str, spawner: Spawner) -> None:
        if shutil.which("podman") is None:
            raise Unmeasurable("podman is not installed")
        self._spawner = spawner
        self._keep_locks = os.path.exists(LOCKS)
        self._places = Places(directory)
        self.path = ""
        self._policy = os.path.join(directory, "policy.json")
        with open(self._policy, "w") as file:
            json.dump(_POLICY, file)
        configuration = os.path.join(directory, "containers.conf")
        with open(configuration, "w") as file:
            file.write(_CONFIGURATION)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "CONTAINERS_CONF": configuration,
        }
        try:
            self._driver = self._working_driver()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.name = f"podman pull ({self._driver})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
        if not self._keep_locks and os.path.exists(LOCKS):
            os.unlink(LOCKS)

    def _working_driver(self) -> str:
        reasons = []
        for driver in ("overlay", "vfs"):
            self._driver = driver
            try:
                self.renew()
            except Unmeasurable as error:
                reasons.append(f"{driver}: {str(error).rpartition('Error: ')[2]}")
            else:
                return driver
        raise Unmeasurable(f"podman has no storage here: {'; '.join(reasons)}")

    def renew(self) -> None:
        """Drops the storage and makes an empty one, with podman's databases in it."""
        self.drop()
        self.path = self._places.new()
        os.mkdir(self.path, 0o700)
        self._run("images", "--quiet")

    def drop(self) -> None:
        """Removes the storage."""
        if self.path:
            unmount_below(self.path, self._spawner)
            self._places.drop(self.path)
            self.path = ""

    def command(self, *arguments: str) -> list[str]:
        """A podman command line with this storage."""
        root, run, temporary = (os.path.join(self.path, name) for name in ("root", "run", "tmp"))
        storage = [f"--root={root}", f"--runroot={run}", f"--tmpdir={temporary}"]
        return ["podman", *storage, f"--storage-driver={self._driver}", *arguments]

    def fetch_command(self, address: str) -> list[str]:
        """The command line that pulls an image from a registry without TLS."""
        trust = [f"--signature-policy={self._policy}", "--tls-verify=false"]
        return self.command("pull", "--quiet", *trust, address)

    def fetch(self, address: str) -> float:
        """Pulls an image; returns milliseconds, as the others."""
        return self._spawner.run(self.fetch_command(address), environment=self.environment)[0]

    def load(self, archive: str) -> float:
        """Loads all images of an archive."""
        return self._run("load", "--quiet", f"--signature-policy={self._policy}", f"--input={archive}")

    def images(self) -> float:
        """Lists the images."""
        return self._run("images")

    def _run(self, *arguments: str) -> float:
        return self._spawner.run(self.command(*arguments), environment=self.environment)[0]

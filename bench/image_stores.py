"""Who takes images in, each with a store that can be made anew: carob, podman, and skopeo with umoci."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Protocol, Self

from bench.installed import Installed
from bench.pairs import timed
from bench.places import Places
from bench.registry import reasons
from bench.spawner import Spawner
from carob import Engine


class ImageStore(Protocol):
    """``renew`` it before use; ``drop`` it afterwards. Neither is to be measured."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    @property
    def path(self) -> str:
        """Where the store is."""

    def renew(self) -> None:
        """Drops the store; the next one is empty."""

    def drop(self) -> None:
        """Removes the store."""

    def fetch(self, address: str) -> float:
        """Brings an image from a registry, and unpacks it; returns milliseconds."""


class _Placed:
    """A store that is a directory, made by the tool itself."""

    def __init__(self, directory: str) -> None:
        self._places = Places(directory)
        self.path = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def renew(self) -> None:
        self.drop()
        self.path = self._places.new()

    def drop(self) -> None:
        if self.path:
            self._places.drop(self.path)
            self.path = ""


class CarobStore(_Placed):
    """carob's command."""

    name = "carob fetch"

    def __init__(self, directory: str, installed: Installed, spawner: Spawner) -> None:
        super().__init__(directory)
        self._command = installed.command
        self._spawner = spawner

    def fetch_command(self, address: str) -> list[str]:
        """The command line that does it."""
        return [self._command, f"--dir={self.path}", "fetch", "--progress=none", address]

    def fetch(self, address: str) -> float:
        return self._spawner.run(self.fetch_command(address))[0]


class LibraryStore(_Placed):
    """carob's library in this process, where all that it imports is there after the first time."""

    name = "Engine.images.fetch"

    def fetch(self, address: str) -> float:
        return timed(lambda: Engine(self.path).images.fetch(address))()


class UmociStore(_Placed):
    """skopeo, which copies an image into a layout, and then umoci, which unpacks it.

    ``umoci unpack`` writes down what it has unpacked, with digests, as carob does; ``umoci raw unpack`` does
    not.
    """

    def __init__(self, directory: str, spawner: Spawner, *verb: str) -> None:
        from tests.parts.lacking import command

        super().__init__(directory)
        with reasons():
            self._skopeo, self._umoci = command("skopeo"), command("umoci")
        self._spawner = spawner
        self._verb = verb
        self.name = f"skopeo copy + umoci {' '.join(verb)}"
        self._environment = {"PATH": os.environ["PATH"], "HOME": directory}

    def fetch(self, address: str) -> float:
        os.mkdir(self.path, 0o700)
        layout = f"{self.path}/layout:image"
        copy = ["copy", "--quiet", "--src-tls-verify=false", address, f"oci:{layout}"]
        unpack = [*self._verb, "--image", layout, f"{self.path}/unpacked"]
        return sum(
            self._spawner.run(argv, environment=self._environment)[0]
            for argv in ([self._skopeo, "--insecure-policy", *copy], [self._umoci, *unpack])
        )

"""What every verb is given: settings and engine, made when first asked for, and the word of --debug."""

from __future__ import annotations

import os
from time import perf_counter

from carob.cli.output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.engine import Engine
    from carob.engine.launch.supervision import Supervision
    from carob.engine.settings import Settings


class Context:
    """One call of the command."""

    __slots__ = ("_began_s", "_begun", "_engine", "_launcher", "_settings", "data_dir_flag", "debugging")

    def __init__(self, launcher: tuple[str, ...] = (), begun: Supervision | None = None) -> None:
        """``launcher`` as for ``Engine``; ``begun`` is used where it is what the settings ask for."""
        self.debugging = False
        self.data_dir_flag = ""
        self._began_s = perf_counter()
        self._launcher = launcher
        self._begun = begun
        self._settings: Settings | None = None
        self._engine: Engine | None = None

    @property
    def settings(self) -> Settings:
        """The configuration, with ``--dir`` taken in."""
        if self._settings is None:
            from carob.engine import settings

            self._settings = settings.load(os.environ)
            if self.data_dir_flag:
                self._settings.put("dir", os.path.abspath(self.data_dir_flag), settings.FLAG)
            self.debug(f"data directory {self._settings.data_dir}")
        return self._settings

    @property
    def engine(self) -> Engine:
        """The engine on the configured data directory."""
        if self._engine is None:
            from carob.engine.engine import Engine

            python = self.settings.text("supervisor.python") or None
            self._engine = Engine(
                self.settings.data_dir,
                python=python,
                launcher=self._launcher,
                supervision=None if python or self._launcher else self._begun,
                image_limits=self.settings.changed("images.limits"),
            )
        return self._engine

    def debug(self, text: str) -> None:
        """A line for ``--debug``, with the milliseconds since the command began."""
        if self.debugging:
            say(f"{(perf_counter() - self._began_s) * 1000:8.1f} ms  {text}")

"""Real commands on a data directory of their own, with an image made from Debian's busybox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.needs import require_command, require_root

_MAIN = "import sys; from carob.cli.main import main; sys.exit(main(sys.argv[1:], launcher=LAUNCHER))"
PATIENCE_S = 20.0


class Command:
    """``carob`` on one data directory."""

    def __init__(self, data_dir: Path, home: Path, launcher: tuple[str, ...]) -> None:
        self.data_dir = data_dir
        program = ["-c", _MAIN.replace("LAUNCHER", repr(launcher))] if launcher else ["-m", "carob"]
        self.argv = [sys.executable, *program]
        self.environment = os.environ | {"CAROB_DIR": str(data_dir), "HOME": str(home)}
        self.environment.pop("XDG_CONFIG_HOME", None)

    def __call__(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end and return what it did; ``env`` adds variables."""
        environment = self.environment | options.pop("env", {})
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(
            [*self.argv, *words], capture_output=True, text=True, check=False, env=environment, **options
        )

    def ok(self, *words: str, **options: Any) -> str:
        """Run a verb that must succeed and return its standard output."""
        result = self(*words, **options)
        assert result.returncode == 0, (words, result.stdout, result.stderr)
        return result.stdout

    def json(self, *words: str) -> Any:
        """Return the document that a verb prints."""
        return json.loads(self.ok(*words, "--format=json"))

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a verb and return the process, its streams on pipes unless told otherwise."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*self.argv, *words], env=self.environment, **{**streams, **options})

    def detached(self, *words: str) -> str:
        """Run a pod detached and return its uuid."""
        return self.ok("run", "--detach", *words).strip()


def eventually(look: Callable[[], object]) -> None:
    """Return once `look` gives something true."""
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline, "this did not come to be"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def rootfs(busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rootfs")
    root.chmod(0o755)  # it is the root directory of apps that run as other users
    for name in ("bin", "etc", "tmp"):
        (root / name).mkdir()
    shutil.copy(busybox, root / "bin/busybox")
    for name in (
        "sh",
        "echo",
        "true",
        "false",
        "sleep",
        "cat",
        "yes",
        "env",
        "hostname",
        "id",
        "tty",
        "stty",
    ):
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nann:x:7:8:Ann:/home/ann:/bin/sh\n")
    return root


@pytest.fixture(scope="session")
def store(
    rootfs: Path, tmp_path_factory: pytest.TempPathFactory, supervisor_launcher: tuple[str, ...]
) -> Path:
    """A data directory with the image ``busybox`` and no pods, to be copied."""
    directory = tmp_path_factory.mktemp("store")
    carob = Command(directory, directory, supervisor_launcher)
    image_id = carob.ok("image", "import", str(rootfs), "--name", "busybox")
    assert image_id.startswith("sha256:")
    return directory


@pytest.fixture
def bare(tmp_path: Path, supervisor_launcher: tuple[str, ...]) -> Command:
    """``carob`` on a data directory that is not there yet."""
    return Command(tmp_path / "data", tmp_path, supervisor_launcher)


@pytest.fixture
def carob(bare: Command, store: Path) -> Iterator[Command]:
    """``carob`` with the image ``busybox``; what it runs is removed at the end."""
    require_root()
    require_command("crun")
    shutil.copytree(store, bare.data_dir, symlinks=True)
    yield bare
    for pod in bare.json("list"):
        bare("rm", "--force", pod["uuid"])
    assert bare.json("list") == []

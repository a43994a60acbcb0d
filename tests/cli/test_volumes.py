"""Named volumes on the command line, and docs/how-to/volumes.md, which shows all kinds."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.needs import ROOT

pytestmark = pytest.mark.root
PAGE = ROOT / "docs/how-to/volumes.md"
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def test_volumes_of_the_command_line(carob: Command) -> None:
    assert carob.ok("volume", "list", "--no-legend") == ""
    assert carob.ok("volume", "create", "db", "--label", "a=b") == "db\n"
    assert carob.ok("volume", "create", "db", "--ignore") == "db\n"
    again = carob("volume", "create", "db")
    assert (again.returncode, again.stderr) == (
        125,
        "carob: there is a volume db already (carob volume list shows them)\n",
    )
    uuid = carob.ok("prepare", "-v", "db:/db", "busybox", "--", "true").strip()
    shown = carob.json("volume", "inspect", "db")
    assert shown["labels"] == {"a": "b"}
    assert shown["used_by"] == [uuid]
    assert shown["path"] == str(carob.data_dir / "volumes/db/data")
    assert carob.json("volume", "list") == [shown]
    refused = carob("volume", "rm", "db", "other")
    assert refused.returncode == 125
    assert refused.stderr.splitlines() == [
        f"carob: the volume db is in use by pod {uuid} (remove the pods first: carob rm)",
        "carob: there is no volume other (carob volume list shows the volumes)",
    ]
    (mount,) = carob.json("status", uuid)["apps"][0]["mounts"]
    assert (mount["kind"], mount["name"], mount["target"]) == ("named", "db", "/db")
    carob.ok("rm", uuid)
    assert carob.json("volume", "gc") == {"removed": [], "problems": []}
    assert carob.ok("volume", "rm", "db") == "db\n"


def test_a_secret_from_a_pipe(carob: Command) -> None:
    words = shlex.join([*carob.argv, "run", "--rm", "busybox"])
    done = subprocess.run(
        ["bash", "-c", f"{words} --secret <(sleep 0.2; echo piped),target=t -- cat /run/secrets/t"],
        env=carob.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "piped\n", "")


@pytest.fixture
def page_environment(carob: Command, rootfs: Path, tmp_path: Path) -> dict[str, str]:
    """Where the page's commands run: ``carob`` on the path, and what the page says is there."""
    shutil.copytree(rootfs, tmp_path / "more", symlinks=True)
    for name in ("stat", "ls", "df", "touch"):
        (tmp_path / "more/bin" / name).symlink_to("busybox")
    carob.ok("image", "import", str(tmp_path / "more"), "--name", "busybox")
    (tmp_path / "here/site").mkdir(parents=True)
    (tmp_path / "here/site/index.html").write_text("hello\n")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/carob"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(carob.argv)} "$@"\n')
    program.chmod(0o755)
    return carob.environment | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}


def test_the_page_does_what_it_says(carob: Command, page_environment: dict[str, str], tmp_path: Path) -> None:
    blocks = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == PAGE.read_text().count("```text\n")
    for language, commands, expected in blocks:
        if language == "sh":
            command = ["bash", "-euo", "pipefail", "-c", commands]
        else:
            program = commands.replace("Engine()", f"Engine({str(carob.data_dir)!r})")
            command = [sys.executable, "-W", "error", "-c", program]
        done = subprocess.run(
            command, cwd=tmp_path / "here", env=page_environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (commands, done.stdout, done.stderr)
        pattern = re.escape(expected).replace("…", ".*")
        assert re.fullmatch(pattern, done.stdout), (commands, done.stdout)

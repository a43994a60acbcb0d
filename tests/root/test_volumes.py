"""Volumes: what is mounted is what the path leads to when the pod starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from carob import App, Engine, Exited, Mount
from carob.errors import Unavailable

SOON_S = 60


def test_volume_is_what_its_path_leads_to_when_the_pod_starts(engine: Engine, tmp_path: Path) -> None:
    """A deployment's ``current`` link, or a configuration written anew, may change after prepare."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "version").write_text(f"{name}\n")
    current, single = tmp_path / "current", tmp_path / "single"
    current.symlink_to("old")
    single.write_text("a file\n")
    mounts = [Mount(current, "/current"), Mount(single, "/single")]
    pod = engine.prepare(App("busybox", ["sh", "-c", "cat /current/version; ls /single"], mounts=mounts))
    current.unlink()
    current.symlink_to("new")
    single.unlink()
    single.mkdir()
    (single / "now-a-directory").touch()
    pod.run()
    assert pod.wait(timeout_s=SOON_S).apps == {"busybox": Exited(0)}
    assert pod.logs().text() == "new\nnow-a-directory\n"


def test_volume_that_is_gone_when_the_pod_starts_is_named(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    pod = engine.prepare(App("busybox", ["true"], name="web", mounts=[Mount(tmp_path / "gone", "/data")]))
    (tmp_path / "gone").rmdir()
    with pytest.raises(Unavailable, match=r"the volume of app web: .*/gone"):
        pod.run()

"""Where a pod could not be looked at, nothing that it may use is taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from carob import Engine
from carob.engine.observe import unknown
from carob.errors import PermissionDenied, Unavailable
from carob.pod import BrokenPod, Directory, walk

UUID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def pods(tmp_path: Path) -> Path:
    Engine(tmp_path).list()
    made = tmp_path / "pods/run"
    made.mkdir(parents=True, exist_ok=True)
    return made


def test_strays_are_nobodys(tmp_path: Path, pods: Path) -> None:
    (pods / UUID).write_text("a file")
    (pods / "lost+found").mkdir()
    (pods / "link").symlink_to(pods)
    for name in (UUID, "lost+found", "link"):
        unknown.refuse(str(tmp_path), BrokenPod(name, Directory.RUN, "odd"), "images")
    Engine(tmp_path).images.gc()
    Engine(tmp_path).volumes.gc(unused=True)


def test_who_cannot_be_looked_at_may_use_anything(tmp_path: Path, pods: Path) -> None:
    (pods / UUID).mkdir()
    with pytest.raises(Unavailable, match=f"which images pod {UUID} uses: too many open files"):
        unknown.refuse(str(tmp_path), BrokenPod(UUID, Directory.RUN, "too many open files"), "images")


def test_a_collection_keeps_all_and_says_why(
    tmp_path: Path, pods: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionDenied("cannot look at it")

    (pods / UUID).mkdir()
    engine = Engine(tmp_path)
    engine.volumes.create("data")
    monkeypatch.setattr(walk, "_look_at", refused)
    with pytest.raises(Unavailable, match=f"images pod {UUID} uses: cannot look at it"):
        engine.images.gc()
    with pytest.raises(Unavailable, match=f"volumes pod {UUID} uses: cannot look at it"):
        engine.volumes.remove("data")
    assert [one.name for one in engine.volumes.list()] == ["data"]

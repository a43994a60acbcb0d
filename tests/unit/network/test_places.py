"""Directories of this boot's state: nobody else lists which pods have which addresses."""

from __future__ import annotations

from pathlib import Path

from carob.network.places import make_private


def test_state_is_its_owners_alone(tmp_path: Path) -> None:
    state = tmp_path / "run" / "carob" / "networks"
    make_private(str(state / "locks"))
    make_private(str(state / "pods" / "x"))
    make_private(str(state / "pods" / "x"))
    for path in (state, state / "locks", state / "pods", state / "pods" / "x"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert state.parent.stat().st_mode & 0o755 == 0o755

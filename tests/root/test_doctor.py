"""``carob doctor`` looks at the host itself: what it says is so, and it leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from carob import Engine
from carob.engine.doctor import FAILED, LACKING, OK, Check
from carob.errors import InvalidInput
from carob.linux import cgroup
from tests.needs import require_root


@pytest.fixture
def checks(tmp_path: Path) -> dict[str, Check]:
    require_root()
    return {f"{check.topic}: {check.name}": check for check in Engine(tmp_path / "data").doctor()}


def test_a_host_that_runs_pods_has_nothing_that_failed(checks: dict[str, Check], tmp_path: Path) -> None:
    assert [check for check in checks.values() if check.verdict == FAILED] == []
    assert checks["kernel: version"].found == os.uname().release
    assert checks["data directory: overlays"].found == "they work"
    assert "crun" in checks["runtime: OCI runtime"].found or "runc" in checks["runtime: OCI runtime"].found
    assert (checks["cgroups: version"].found == "v2") == (cgroup.hierarchies() == [cgroup.V2])
    assert all(check.mend for check in checks.values() if check.verdict != OK)
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_said_with_what_would_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from carob.engine.doctor import programs
    from carob.runtime import driver

    monkeypatch.setattr(driver, "_SEARCH", (str(tmp_path),))
    monkeypatch.setattr(programs, "PLUGIN_DIRECTORIES", (str(tmp_path),))
    found = {check.name: check for check in Engine(tmp_path / "data").doctor()}
    assert found["OCI runtime"].verdict == FAILED
    assert "crun" in found["OCI runtime"].mend
    assert found["CNI plugins"].verdict == LACKING
    assert "containernetworking-plugins" in found["CNI plugins"].mend
    with pytest.raises(InvalidInput):
        Engine(tmp_path).doctor(runtime=7)  # type: ignore[arg-type]


def test_the_data_directory_is_looked_at_where_it_is(tmp_path: Path) -> None:
    require_root()
    found = {check.name: check for check in Engine("/proc/carob").doctor() if check.topic == "data directory"}
    assert found["overlays"].verdict == FAILED
    assert "nothing can be made in /proc" in found["overlays"].found


def test_a_plain_user_is_told_what_a_plain_user_needs(tmp_path: Path) -> None:
    require_root()
    code = (
        "from carob import Engine\n"
        "for one in Engine('/tmp/none').doctor(): print(one.verdict, one.topic, one.name)"
    )
    environment = {"HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, user=65534, group=65534,
        extra_groups=[], env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "lacking without root /etc/subuid" in done.stdout
    assert "root capabilities" not in done.stdout

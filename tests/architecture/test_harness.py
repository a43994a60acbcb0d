"""The checks that every test is under do find what they are for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import leaks
from tests.architecture.sources import ROOT, SRC
from tests.needs import IMPOSSIBLE

LEAVES = {
    "descriptor": ("import os", "os.open('/', os.O_RDONLY)"),
    "child": ("import os, time", "if not os.fork(): time.sleep(3); os._exit(0)"),
    "zombie": ("import os", "if not os.fork(): os._exit(0)"),
    "thread": ("import threading, time", "threading.Thread(target=time.sleep, args=(2,)).start()"),
}


def _outcome(directory: Path, body: str, *, head: str = "", ci: bool = False) -> str:
    """Return what pytest prints for a test with that body, under the checks of this suite."""
    file = directory / "test_it.py"
    file.write_text(f"import pytest\n{head}\ndef test_it(tmp_path):\n    {body}\n")
    environment = os.environ | {
        "CI": "true" if ci else "",
        "TMPDIR": str(directory),
        "CAROB_TESTS_LEAKS": "fail",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(ROOT / "pyproject.toml"),
        "-p",
        "tests.conftest",
        "-q",
    ]
    result = subprocess.run(
        [*command, "-rA", str(file)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return f"{result.returncode}\n{result.stdout}{result.stderr}"


def test_a_test_that_leaves_nothing_passes(tmp_path: Path) -> None:
    assert _outcome(tmp_path, "(tmp_path / 'x').mkdir()").startswith("0\n")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir() and path.name != "__pycache__"] == []


@pytest.mark.parametrize("kind", LEAVES)
def test_what_a_test_leaves_is_found(kind: str, tmp_path: Path) -> None:
    head, body = LEAVES[kind]
    outcome = _outcome(tmp_path, body, head=head)
    assert outcome.startswith("1\n")
    assert "left behind" in outcome
    assert kind in outcome


def test_a_skip_fails_under_continuous_integration_alone(tmp_path: Path) -> None:
    assert "1 skipped" in _outcome(tmp_path, "pytest.skip('no crun')")
    outcome = _outcome(tmp_path, "pytest.skip('no crun')", ci=True)
    assert outcome.startswith("1\n")
    assert "no crun" in outcome


def test_a_module_skipped_as_a_whole_fails_under_continuous_integration(tmp_path: Path) -> None:
    head = "pytest.skip('no crun', allow_module_level=True)"
    assert "no crun" in _outcome(tmp_path, "pass", head=head, ci=True).partition("\n")[2]
    assert not _outcome(tmp_path, "pass", head=head, ci=True).startswith(("0\n", "5\n"))


def test_a_marked_skip_fails_under_continuous_integration(tmp_path: Path) -> None:
    head = "@pytest.mark.skipif(True, reason='no crun')"
    assert _outcome(tmp_path, "pass", head=head, ci=True).startswith("1\n")


def test_what_a_machine_cannot_have_is_passed_over_always(tmp_path: Path) -> None:
    assert "1 skipped" in _outcome(tmp_path, f"pytest.skip({IMPOSSIBLE + 'no vsock'!r})", ci=True)


def test_what_a_session_leaves_in_the_temporary_directory_fails_it(tmp_path: Path) -> None:
    outcome = _outcome(tmp_path, "import tempfile; tempfile.mkdtemp(prefix='forgotten')", ci=True)
    assert outcome.startswith("1\n")
    assert "new temporary file" in outcome
    assert "forgotten" in outcome


def test_a_mount_and_a_lock_are_seen(tmp_path: Path) -> None:
    before = leaks.take()
    with open(tmp_path / "held", "w") as file:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        found = leaks.difference(before, leaks.take())
    assert any(line.startswith("new lock: ") for line in found)
    assert not any(
        "new lock" in line for line in leaks.since(before, patience_s=1) if str(os.getpid()) in line
    )


def test_a_process_in_a_namespace_of_its_own_is_seen() -> None:
    from tests.needs import require_command, require_root

    require_root()
    before = leaks.take()
    command = [require_command("unshare"), "--pid", "--net", "--fork", "--kill-child", "sleep", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        deadline = 200
        found: list[str] = []
        while deadline and not any("sleep 60" in line and "new process" in line for line in found):
            found = leaks.difference(before, leaks.take())
            deadline -= 1
        # Its number may be one that another had when `before` was taken.
        seen = os.readlink(f"/proc/{process.pid}/ns/net") in leaks.take()["network namespace"]
        process.kill()
    assert deadline, found
    assert seen


def test_coverage_reaches_a_supervisor_and_its_forks(tmp_path: Path) -> None:
    import coverage

    program = (
        f"import sys, os; sys.path.append({str(SRC)!r})\n"
        "from carob.linux.syscall import close_range\n"
        "close_range(3, 0xFFFFFFFF); os.closerange(3, 4096)\n"
        "if os.fork():\n    os.wait(); os._exit(0)\n"
        "from carob import errors\n"
        "os._exit(0)\n"
    )
    site = str(Path(coverage.__file__).parent.parent)
    launcher = str(ROOT / "tests/coverage_launcher.py")
    subprocess.run([sys.executable, "-I", "-S", launcher, str(tmp_path), site, program], check=True)
    measured = []
    for path in tmp_path.iterdir():
        data = coverage.CoverageData(no_disk=True)
        data.loads(path.read_bytes())
        measured.append(sorted(Path(name).name for name in data.measured_files() if data.arcs(name)))
        data.close()
    assert len(measured) == 2
    assert any("syscall.py" in names for names in measured)
    assert any("__init__.py" in names or "errors.py" in names for names in measured)

"""What holds for every test: nothing is left behind, and nothing is skipped in silence.

- After each test its process has the descriptors, children and threads that it had before.
- A session that ran pods leaves the host as it found it: mounts, namespaces, links, cgroups,
  processes, locks and temporary files (`tests.leaks`); if not, the session fails. `no_leaks` asks the
  same of one test.
- Under continuous integration a skipped test is a failed one (`tests.needs`).
- Temporary files are below one directory that is removed at the end; ``--basetemp=DIR`` keeps them.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests import leaks
from tests.coverage_children import launcher_arguments, store_children
from tests.needs import IMPOSSIBLE, static_busybox, under_ci

pytest_plugins = ["tests.parts.fixtures"]

# ``report`` shows what a session left but does not fail it: for a machine where other pods come and
# go meanwhile.
LEAKS = os.environ.get("CAROB_TESTS_LEAKS", "fail")
KEPT = ("CAROB_TESTS_LEAKS", "CAROB_CRI_TOOLS")
for name in [name for name in os.environ if name.startswith("CAROB_") and name not in KEPT]:
    del os.environ[name]  # nobody's own configuration reaches a test

RUNS_PODS = ("root", "cli", "races")
_before = pytest.StashKey[leaks.Snapshot]()
_temporary = pytest.StashKey[str]()
_left = pytest.StashKey[list[str]]()


# --- the session ----------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    # What nohup(1), or a shell's background, ignores for the suite would be ignored by all that it starts,
    # and carob keeps to that.
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.basetemp is None:
        directory = tempfile.mkdtemp(prefix="carob-tests-")
        config.stash[_temporary] = directory
        config.option.basetemp = os.path.join(directory, "t")


def pytest_collection_finish(session: pytest.Session) -> None:
    here = Path(__file__).parent
    if session.config.option.collectonly:
        return
    if under_ci() or any(
        item.path.is_relative_to(here / name) or item.get_closest_marker("root")
        for item in session.items
        for name in RUNS_PODS
    ):
        session.config.stash[_before] = leaks.take()


def _collect_networks() -> None:
    """A network that has no pods any more goes with the next gc, whichever test comes last."""
    if os.geteuid() == 0:
        with tempfile.TemporaryDirectory() as directory:
            command = [sys.executable, "-m", "carob", f"--dir={directory}", "gc"]
            subprocess.run(command, capture_output=True, check=False, timeout=60)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    before = config.stash.get(_before, None)
    found = []
    if before is not None:
        _collect_networks()
        found = leaks.since(before)
    directory = config.stash.get(_temporary, None)
    if directory is not None and not leaks.mounts_below(directory):
        shutil.rmtree(directory, ignore_errors=True)
    config.stash[_left] = found
    if found and LEAKS != "report" and session.exitstatus in (0, pytest.ExitCode.TESTS_FAILED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    store_children()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(_left, [])
    if found:
        terminalreporter.section("left behind on this machine", red=True)
        for line in found:
            terminalreporter.line(line)


# --- skips ----------------------------------------------------------------------------------------


def _unless_impossible(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure under continuous integration, unless no set-up could have helped."""
    if not report.skipped or hasattr(report, "wasxfail") or not under_ci():
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if not reason.removeprefix("Skipped: ").startswith(IMPOSSIBLE):
        report.outcome = "failed"
        report.longrepr = f"skipped under continuous integration: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _unless_impossible(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _unless_impossible(report)
    return report


# --- each test ------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves descriptors, child processes or threads in this process."""
    descriptors, children, threads = leaks.descriptors(), leaks.children(), set(threading.enumerate())
    yield
    faults = []
    if not request.node.get_closest_marker("shares_processes"):
        faults += _soon(lambda: _new_children(children))
    faults += _soon(lambda: [f"thread {t.name}" for t in threading.enumerate() if t not in threads])
    faults += _new_descriptors(descriptors)
    if faults:
        pytest.fail("left behind: " + "; ".join(faults), pytrace=False)


def _soon(look: Callable[[], list[str]], patience_s: float = 1.0) -> list[str]:
    deadline = time.monotonic() + patience_s
    while (found := look()) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return found


def _new_descriptors(before: dict[int, str]) -> list[str]:
    def look() -> list[str]:
        after = leaks.descriptors()
        return [
            f"descriptor {fd} of {what}"
            for fd, what in after.items()
            if before.get(fd) != what and not _lasting(fd, what)
        ]

    if look():
        gc.collect()  # a cycle of objects that own descriptors is no leak
    return look()


def _lasting(fd: int, what: str) -> bool:
    """Say whether a descriptor is one that a library opens once and keeps."""
    from multiprocessing import resource_tracker

    tracker = getattr(resource_tracker, "_resource_tracker", None)
    return fd == getattr(tracker, "_fd", None) or "/.cache/coverage/" in what or "/pyproject.toml" in what


def _new_children(before: dict[int, str]) -> list[str]:
    helpers = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
    now = leaks.children()
    return [
        f"child {pid} ({command})"
        for pid, command in now.items()
        if pid not in before and not any(helper in command for helper in helpers)
    ]


@pytest.fixture
def no_leaks() -> Iterator[leaks.Snapshot]:
    """Fail a test that leaves anything on the host; hands out what was there before."""
    before = leaks.take()
    yield before
    found = leaks.since(before)
    if found:
        pytest.fail("left behind on this machine:\n  " + "\n  ".join(found), pytrace=False)


# --- things to test with --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def busybox() -> Path:
    """A busybox that needs no libraries."""
    return static_busybox()


@pytest.fixture(scope="session")
def supervisor_launcher() -> tuple[str, ...]:
    """What goes between the interpreter's options and the supervisor's script: coverage's entry, if any."""
    return launcher_arguments()


@pytest.fixture
def kill_at_end() -> Iterator[Callable[[int], None]]:
    """Hands out a function that takes the pid of a child, to be killed and reaped at the end."""
    pids: list[int] = []
    yield pids.append
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue

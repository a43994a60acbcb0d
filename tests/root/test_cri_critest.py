"""A part of Kubernetes' conformance suite for CRI, what takes seconds; `make cri-test` runs all of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.needs import impossible_here, require, require_command, require_root
from tests.parts.critest import NOT_CAROBS, PASSED, STREAMING, TOOLS, WEBSOCKET, Suite, prepare, required
from tests.root import host_view
from tests.root.own_host import own_host

# These wait four seconds and more, between one look and the next.
SLOW = (
    r"log runtime|attach|SupplementalGroupsPolicy|NamespaceMode_|NoNewPrivs should not|ReadOnlyRootfs|OOM"
    r"|RunAsGroup \[|RunAsGroup$|host network|PodPID"
)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    require_root()
    require_command("crun")
    if not (TOOLS / "setup").is_file():
        impossible_here(f"no Debian package has critest, and there is none in {TOOLS}")
    directory = tmp_path_factory.mktemp("cri")
    try:
        prepare(directory)
    except subprocess.CalledProcessError as error:
        require(False, f"the tools cannot be set up: {error}")
    with own_host():
        made = Suite(directory)
        try:
            yield made
        finally:
            made.end()
            host_view.end_all(str(made.data_dir))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_suites_quick_cases_pass(suite: Suite) -> None:
    found = suite.run(f"--ginkgo.skip={NOT_CAROBS}|{SLOW}")
    assert {name: end for name, end in found.items() if end[0] not in (PASSED, "skipped")} == {}
    missing = [name for name in required() if name in found and found[name][0] != PASSED]
    assert missing == []
    assert len(set(required()) & set(found)) > 90


@pytest.mark.slow
def test_streams_pass_over_websocket(suite: Suite) -> None:
    found = suite.run(*STREAMING, "--ginkgo.skip=attach|host network", *WEBSOCKET)
    assert len(found) == 3
    assert {end for end, _ in found.values()} == {PASSED}

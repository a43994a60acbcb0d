"""Kubernetes' conformance suite for CRI, on a private service: ``make cri-test``, and for tests.

The tools are not the project's: they are looked for in ``$CAROB_CRI_TOOLS``, or beside the checkout.

    python -m tests.parts.critest [--runtime=NAME] [CRITEST-FLAG...]
"""

from __future__ import annotations

import csv
import json
import lzma
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.needs import ROOT
from tests.parts.api_service import ApiService

TOOLS = Path(os.environ.get("CAROB_CRI_TOOLS") or ROOT.parent / "shared/cri")
STREAMING = ("--ginkgo.focus=Streaming",)
WEBSOCKET = ("--websocket-exec", "--websocket-attach", "--websocket-portforward")
NOT_CAROBS = "NRI|benchmark"
PASSED = "passed"
_METRICS = "runtime should support listing pod sandbox metrics"
_SUITE_S = 1200


class Suite:
    """critest, the registry with its images, and a service of carob; ``end`` ends them."""

    def __init__(self, directory: Path, *words: str) -> None:
        """``directory`` was prepared; ``words`` are more for the service."""
        self.directory = directory
        port = _free_port()
        self._registry = _set_up(directory, port)
        configuration = directory / "config/carob/registries.toml"
        configuration.parent.mkdir(parents=True, exist_ok=True)
        mirror = f'{{ location = "127.0.0.1:{port}", insecure = true }}'
        configuration.write_text(f'[[registry]]\nprefix = "*"\nmirrors = [{mirror}]\n')
        self.data_dir = directory / "data"
        self.socket = directory / "cri.sock"
        try:
            self.service = ApiService(
                self.data_dir,
                f"--listen=unix:{directory}/api.sock",
                f"--cri=unix:{self.socket}",
                "--cri-network=default",
                *words,
                env={"XDG_CONFIG_HOME": str(directory / "config")},
            )
        except BaseException:
            os.kill(self._registry, signal.SIGKILL)
            raise

    def run(self, *flags: str) -> dict[str, tuple[str, str]]:
        """Run the suite; return how each case ended that was not filtered out, and why."""
        output = self.directory / "report"
        subprocess.run(
            [TOOLS / "run-critest", self.directory, self.socket, output, *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SUITE_S,
            check=False,
        )
        return _cases(json.loads((output / "report.json").read_text()))

    def end(self) -> None:
        """End the service and the registry."""
        self.service.end()
        os.kill(self._registry, signal.SIGKILL)


def prepare(directory: Path) -> None:
    """Make what does not depend on the network namespace, some of it from Debian packages."""
    directory.mkdir(parents=True, exist_ok=True)
    os.kill(_set_up(directory, _free_port()), signal.SIGKILL)


def _set_up(directory: Path, port: int) -> int:
    """Unpack the tools and make the images, and begin a registry; return its process."""
    (directory / "registry.pid").unlink(missing_ok=True)  # of another time
    environment = os.environ | {"PORT": str(port)}
    subprocess.run(
        [TOOLS / "setup", directory], env=environment, check=True, stdout=sys.stderr, timeout=_SUITE_S
    )
    return int((directory / "registry.pid").read_text())


def _cases(report: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    found = {}
    for suite in report:
        for case in suite["SpecReports"]:
            message = (case.get("Failure") or {}).get("Message", "")
            if case["LeafNodeType"] != "It" or (case["State"] == "skipped" and not message):
                continue
            words = [*(case.get("ContainerHierarchyTexts") or ()), case["LeafNodeText"]]
            found[" ".join(words).removeprefix("[k8s.io] ")] = case["State"], " ".join(message.split())[:300]
    return found


def unpacked_crictl(directory: Path) -> Path | None:
    """Put crictl into a directory; return its path, or None where the tools are not there."""
    packed = TOOLS / "crictl.xz"
    if not packed.is_file():
        return None
    program = directory / "crictl"
    program.write_bytes(lzma.decompress(packed.read_bytes()))
    program.chmod(0o755)
    return program


def required() -> list[str]:
    """Return the cases that some engine passes, those of NRI aside, and that of the pods' metrics."""
    with open(TOOLS / "reference.tsv", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return [
        row[0] for row in rows if not row[0].startswith("NRI") and ("PASS" in row[1:5] or _METRICS in row[0])
    ]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main(words: Sequence[str]) -> int:
    """Run all of it, and the streams again over WebSocket; say what did not pass, and what should have."""
    from tests.root.host_view import end_all
    from tests.root.own_host import own_host

    if not (TOOLS / "setup").is_file():
        print(f"There are no tools in {TOOLS}: CAROB_CRI_TOOLS says where they are.")
        return 1
    flags = [word for word in words if not word.startswith("--runtime=")]
    flags += [f"--runtime-handler={word.partition('=')[2]}" for word in words if word not in flags]
    directory = ROOT / ".cache/cri"
    prepare(directory)
    with own_host():  # so that no bridge is left
        suite = Suite(directory)
        try:
            found = suite.run(f"--ginkgo.skip={NOT_CAROBS}", *flags)
            again = suite.run(*STREAMING, *WEBSOCKET, *flags)
        finally:
            suite.end()
            end_all(str(suite.data_dir))
    for name, (state, why) in found.items():
        if state != PASSED:
            print(f"{state}: {name}: {why}")
    wrong = [name for name in required() if found.get(name, ("not run", ""))[0] != PASSED]
    wrong += [f"{name} (WebSocket)" for name, (state, _) in again.items() if state != PASSED]
    print(f"{dict(Counter(state for state, _ in found.values()))}, over WebSocket {len(again)}")
    for name in wrong:
        print(f"should have passed: {name}")
    return 1 if wrong or not again else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

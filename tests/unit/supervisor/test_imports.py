"""What monitor and init load: they live as long as a pod does, and each module stays in memory twice."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.architecture.sources import SRC

OF_OS = {
    *("abc", "codecs", "encodings", "encodings.aliases", "encodings.utf_8", "genericpath", "io", "ntpath"),
    *("builtins", "marshal", "os", "os.path", "posix", "posixpath", "stat", "sys", "zipimport"),
}
ALLOWED = OF_OS | {"errno", "fcntl", "select", "time"}
SCRIPT = """
import sys
sys.path.append(sys.argv[1])
__import__(sys.argv[2])
print(*sorted(sys.modules))
"""


@pytest.mark.parametrize(
    "module", ["carob.supervisor.boot", "carob.supervisor.monitor", "carob.supervisor.init"]
)
def test_a_supervisor_loads_next_to_nothing(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT, str(SRC), module],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.split()
    assert module in loaded
    strange = [name for name in loaded if not name.startswith(("carob", "_")) and name not in ALLOWED]
    assert strange == []
    layers = ("carob.engine", "carob.cli", "carob.image", "carob.pod", "carob.spec", "carob.errors")
    assert [name for name in loaded if "probes" in name] == []
    assert [name for name in loaded if name.startswith(layers)] == []
    assert "carob.linux.proc" not in loaded

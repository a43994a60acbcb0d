from __future__ import annotations

import os
import subprocess
from pathlib import Path

from carob.linux import process


def test_a_process_that_lives_and_one_that_does_not() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        ticks = process.start_ticks(child.pid)
        before = process.start_ticks(os.getpid())
        assert ticks is not None
        assert before is not None
        assert ticks >= before
        assert process.state_letter(child.pid) in ("S", "R", "D")
        child.kill()
    assert process.start_ticks(child.pid) is None
    assert process.state_letter(child.pid) == ""


def test_a_name_with_brackets_and_spaces_misleads_nobody(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as child:
        try:
            assert process.state_letter(child.pid) in ("S", "R", "D")
            assert process.start_ticks(child.pid) is not None
        finally:
            child.kill()


def test_the_boot_has_one_id() -> None:
    assert len(process.boot_id()) == 36
    assert process.boot_id() == process.boot_id()

from __future__ import annotations

import json
import os
import subprocess
import sys

_STALLED = """
from carob.service.journal import Journal
journal = Journal(log_calls=False)
for number in range(1000):
    journal.info("line", number=number, text="x" * 400)
print("through", flush=True)
input()
journal.info("last")
"""


def test_a_reader_that_stalls_holds_up_nobody_and_is_told_of_what_it_missed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _STALLED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "through\n"
        os.set_blocking(process.stderr.fileno(), False)
        told = [json.loads(line) for line in os.read(process.stderr.fileno(), 1 << 20).splitlines()]
        os.set_blocking(process.stderr.fileno(), True)
        process.stdin.write("\n")
        process.stdin.flush()
        last = json.loads(process.stderr.readline())
    numbers = [line["number"] for line in told]
    assert numbers == list(range(len(told)))
    assert (last["event"], last["dropped_lines"]) == ("last", 1000 - len(told))
    assert 0 < len(told) < 1000


def test_long_words_are_clipped_and_each_line_is_whole() -> None:
    script = (
        "from carob.service.journal import Journal\n"
        "journal = Journal(log_calls=False)\n"
        "journal.info('long', a='\\0' * 9000, b='ü' * 9000)\n"
        "journal.unexpected('M', 'start' + 'x' * 9000 + 'end')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    lines = done.stderr.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["long", "unexpected"]
    assert all(len(line) < 4096 for line in lines)
    assert json.loads(lines[1])["traceback"].endswith("end")

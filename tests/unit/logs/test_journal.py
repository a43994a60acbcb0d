"""Journal files: hashes, duplicates, lists of entries, lines put together. journalctl itself is asked too."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carob.logs import MALFORMED, STDERR, STDOUT, LogEntry
from carob.logs.journal import file as journal_file
from carob.logs.journal.entries import JournalEntries
from carob.logs.journal.file import JournalFile
from carob.logs.journal.hashing import hash64
from tests.needs import require_command


def test_hashes_are_those_of_lookup3() -> None:
    # The values that lookup3.c's own driver5 prints, for hashlittle2 with both seeds 0.
    assert hash64(b"") == 0xDEADBEEF_DEADBEEF
    assert hash64(b"Four score and seven years ago") == 0x17770551_CE7226E6


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    require_command("journalctl")
    (tmp_path / ("ab" * 16)).mkdir()
    return tmp_path


@pytest.fixture
def written(directory: Path) -> Iterator[JournalFile]:
    fd = os.open(directory / ("ab" * 16) / "system.journal", os.O_RDWR | os.O_CREAT, 0o600)
    yield JournalFile(fd, machine_id=b"\xab" * 16, boot_id=b"\xcd" * 16)
    os.close(fd)


def journalctl(directory: Path, *words: str) -> list[str]:
    command = [shutil.which("journalctl") or "", "-D", str(directory), "-o", "cat", "--quiet", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "" or "PASS" in done.stderr
    return done.stdout.splitlines()


def test_an_empty_journal_is_one(directory: Path, written: JournalFile) -> None:
    assert journalctl(directory) == []
    written.finish()
    journalctl(directory, "--verify")


@pytest.mark.parametrize("remembered", [1, 3, 10_000])
def test_duplicates_are_one_object_with_many_entries(
    directory: Path, written: JournalFile, monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    monkeypatch.setattr(journal_file, "_REMEMBERED", remembered)
    for number in range(500):
        fields = [
            b"MESSAGE=%d" % (number % 7),
            b"SYSLOG_IDENTIFIER=app%d" % (number % 2),
            b"_BOOT_ID=" + b"cd" * 16,
        ]
        written.append(fields, 10**15 + number, number)
    written.flush()
    assert journalctl(directory) == [str(number % 7) for number in range(500)]
    assert journalctl(directory, "MESSAGE=3", "-t", "app1") == ["3"] * sum(
        number % 7 == 3 and number % 2 == 1 for number in range(500)
    )
    assert sorted(journalctl(directory, "-F", "MESSAGE")) == [str(number) for number in range(7)]
    written.finish()
    journalctl(directory, "--verify")


def test_what_was_not_flushed_is_not_seen_and_harms_nobody(directory: Path, written: JournalFile) -> None:
    written.append([b"MESSAGE=told"], 10**15, 1)
    written.flush()
    written.append([b"MESSAGE=untold"], 10**15 + 1, 2)
    assert journalctl(directory) == ["told"]


def test_lines_are_put_together_and_times_do_not_go_back(directory: Path, written: JournalFile) -> None:
    entries = JournalEntries(
        written, pod="p", hostname="h", machine_id="ab" * 16, boot_id="cd" * 16, epoch_us=10**15
    )
    second_ns = 1_000_000_000
    start_ns = 10**18 + second_ns
    entries.add(
        [
            ("web", LogEntry(start_ns, STDOUT, True, b"one ")),
            ("web", LogEntry(start_ns + 1, STDERR, False, b"between")),
            ("db", LogEntry(start_ns + 2, STDOUT, True, b"never ended")),
            ("web", LogEntry(start_ns + 3, STDOUT, False, b"line")),
            ("web", LogEntry(start_ns - second_ns, STDOUT, False, b"the clock was set back")),
            ("web", LogEntry(start_ns, MALFORMED, False, b"no line of a log")),
            ("web", LogEntry(start_ns, STDOUT, True, b"", 4711)),
        ]
    )
    entries.finish()
    written.finish()
    assert journalctl(directory) == ["between", "one line", "the clock was set back", "never ended"]
    assert journalctl(directory, "-p", "err") == ["between"]
    assert journalctl(directory, "-t", "db") == ["never ended"]
    journalctl(directory, "--verify")

from __future__ import annotations

import os
import subprocess

import pytest

from carob.errors import Conflict, CorruptData, NotFound
from carob.pod import ChildNotReady, open_pod, process
from carob.pod.state import Directory
from tests.unit.pod.made import UUID, make


@pytest.mark.parametrize(
    ("files", "pid"),
    [
        ({"pid": b"11"}, 11),
        ({"ppid": b"12"}, 12),
        ({"pid": b"11", "ppid": b"12"}, 11),
        ({"pid": b"?", "ppid": b"12"}, 12),
        ({"pid": b"", "ppid": b"12"}, 12),
    ],
)
def test_pid_comes_before_ppid(data_dir: str, files: dict[str, bytes], pid: int) -> None:
    make(data_dir, Directory.RUN, **files)
    with open_pod(data_dir, UUID) as pod:
        assert pod.pid() == pid


def test_no_pid(data_dir: str) -> None:
    make(data_dir, Directory.RUN)
    make(data_dir, Directory.RUN, "b" + UUID[1:], pid=b"?", ppid=b"?")
    with open_pod(data_dir, UUID) as pod, pytest.raises(NotFound):
        pod.pid()
    with open_pod(data_dir, "b" + UUID[1:]) as pod, pytest.raises(CorruptData):
        pod.pid()


def parent_of(children: int) -> subprocess.Popen[bytes]:
    """A process with so many children, each asleep until its standard input ends."""
    script = "cat <&3 & " * children + "echo ready; exec cat"
    parent = subprocess.Popen(
        ["sh", "-c", f"exec 3<&0; {script}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    return parent


@pytest.mark.parametrize("children", [0, 1, 2])
@pytest.mark.parametrize("search", [False, True])
def test_the_only_child(monkeypatch: pytest.MonkeyPatch, children: int, search: bool) -> None:
    with parent_of(children) as parent:
        if search:  # as on a kernel without the list of children
            monkeypatch.setattr(process, "children_text", lambda pid: None)
            monkeypatch.setattr(os.path, "exists", lambda path: False)
        if children == 0:
            with pytest.raises(ChildNotReady):
                process.only_child(parent.pid)
        elif children == 2:
            with pytest.raises(Conflict, match="2 children"):
                process.only_child(parent.pid)
        else:
            child = process.only_child(parent.pid)
            with open(f"/proc/{child}/stat") as file:
                assert int(file.read().rpartition(")")[2].split()[1]) == parent.pid
        monkeypatch.undo()
        parent.communicate()


def test_a_parent_that_is_gone_has_no_child() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(ChildNotReady):
        process.only_child(gone.pid)

"""Unpacking as many processes do it, and as a kill leaves it."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from carob.errors import NotFound
from carob.image import Store, Trees
from carob.image.files.locks import lock
from carob.image.layers.workplace import try_workplace
from tests.unit.image.archives import directory, layout_of, member, snapshot, tar

PROCESSES = 64

ENSURE = """
import sys
from carob.image import Store, Trees
sys.stdin.readline()
print(Trees(sys.argv[1]).ensure(Store(sys.argv[1]).resolve("app")).lower_dirs[0])
"""


def big_layers() -> tuple[bytes, bytes]:
    names = [f"d{number % 20}/f{number}" for number in range(600)]
    files = [member(name, os.urandom(64) * 20) for name in names]
    return tar(directory("bin"), member("bin/sh", b"sh")), tar(*files)


def names_of(data: Path) -> tuple[list[str], list[str]]:
    """The layers that have their name, and what is being unpacked."""
    layers = [path.name for path in (data / "layers").iterdir() if not path.name.startswith(".")]
    return layers, [path.name for path in (data / "layers" / ".tmp").iterdir()]


def test_many_processes_unpack_one_image_once(store: Store, trees: Trees, data: Path, tmp_path: Path) -> None:
    image = store.import_path(str(layout_of(tmp_path / "layout", *big_layers())), name="app")
    command = [sys.executable, "-c", ENSURE, str(data)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(PROCESSES)]  # type: ignore[call-overload]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate() for process in processes]
    assert {process.returncode for process in processes} == {0}
    assert {answer for answer, _ in answers} == {trees.ensure(image).lower_dirs[0] + "\n"}
    layers, unfinished = names_of(data)
    assert len(layers) == 2
    assert unfinished == []
    assert len(snapshot(data / "layers" / layers[0])) + len(snapshot(data / "layers" / layers[1])) == 3 + 621


@pytest.mark.parametrize("part", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_kill_leaves_no_half_layer(
    store: Store, trees: Trees, data: Path, tmp_path: Path, part: float
) -> None:
    """Killed when so much of the big layer is there, whatever the machine's speed."""
    image = store.import_path(str(layout_of(tmp_path / "layout", *big_layers())), name="app")
    process = subprocess.Popen(
        [sys.executable, "-c", ENSURE, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    workplace = Path(trees.workplace(image.chain_ids[-1])) / "tree"
    final = Path(trees.layer_path(image.chain_ids[-1]))
    while process.poll() is None and not final.exists():
        if sum(len(files) for _, _, files in os.walk(workplace)) >= 600 * part:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    layers, _ = names_of(data)
    for name in layers:
        count = len(snapshot(data / "layers" / name))
        assert count in (3, 621), "a layer that has its name is whole"
    tree = trees.ensure(image)
    assert [len(snapshot(lower)) for lower in tree.lower_dirs] == [621, 3]
    for name in names_of(data)[1]:  # killed between a layer's rename and the end of its workplace
        assert name in layers
        assert os.listdir(data / "layers" / ".tmp" / name) == []


def test_who_waits_goes_on_when_the_first_is_killed(
    store: Store, trees: Trees, data: Path, tmp_path: Path
) -> None:
    image = store.import_path(str(layout_of(tmp_path / "layout", tar(member("a")))), name="app")
    (data / "layers" / ".tmp").mkdir(parents=True)
    holder = os.fork()
    if holder == 0:
        try_workplace(trees.workplace(image.chain_ids[0]))
        Path(trees.workplace(image.chain_ids[0]), "tree").mkdir()
        (data / "locked").touch()
        signal.pause()
        os._exit(1)
    while not (data / "locked").exists():
        time.sleep(0.001)
    waiter = subprocess.Popen(
        [sys.executable, "-c", ENSURE, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert waiter.stdin is not None
    assert waiter.stdout is not None
    waiter.stdin.write("go\n")
    waiter.stdin.flush()
    assert not select.select([waiter.stdout], [], [], random.uniform(0.1, 0.3))[0]
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    assert waiter.communicate()[0] == trees.ensure(image).lower_dirs[0] + "\n"
    assert os.listdir(trees.ensure(image).lower_dirs[0]) == ["a"]


def test_a_child_forked_meanwhile_keeps_no_lock(data: Path) -> None:
    """The holder forks and dies without letting go; its child lives on."""
    data.mkdir()
    workplace = str(data / "workplace")
    gate, opened = os.pipe()
    child_is_up, up = os.pipe()
    holder = os.fork()
    if holder == 0:
        os.close(opened)
        try_workplace(workplace)
        if os.fork() == 0:
            os.write(up, b"x")
            os.read(gate, 1)
        os._exit(0)
    os.waitpid(holder, 0)
    os.read(child_is_up, 1)
    try:
        again = lock(workplace, exclusive=True, wait=False)
        assert again is not None
        again.close()
    finally:
        for fd in (opened, gate, child_is_up, up):
            os.close(fd)


def test_a_lock_is_let_go_whoever_has_its_description(data: Path) -> None:
    """As after a fork that runs no hooks."""
    data.mkdir()
    held = lock(str(data), exclusive=True)
    assert held is not None
    copy = os.dup(held.fd)
    assert lock(str(data), exclusive=False, wait=False) is None
    held.close()
    again = lock(str(data), exclusive=True, wait=False)
    assert again is not None
    again.close()
    os.close(copy)


def test_a_tree_by_its_id(store: Store, trees: Trees, tmp_path: Path) -> None:
    image = store.import_path(
        str(layout_of(tmp_path / "layout", tar(member("a")), tar(member("b")))), name="app"
    )
    with pytest.raises(NotFound):
        trees.get("sha256-" + "1" * 64)
    tree = trees.ensure(image)
    assert tree.tree_id == image.chain_ids[-1].replace(":", "-")
    assert trees.get(tree.tree_id) == tree
    assert [os.path.basename(path) for path in tree.lower_dirs] == [
        chain_id.removeprefix("sha256:") for chain_id in reversed(image.chain_ids)
    ]


def test_layers_are_for_their_owner_only(store: Store, trees: Trees, data: Path, rootfs: Path) -> None:
    trees.ensure(store.import_path(str(rootfs), name="busybox"))
    assert (data / "layers").stat().st_mode & 0o777 == 0o700
    assert (data / "images").stat().st_mode & 0o777 == 0o700

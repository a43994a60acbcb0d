"""Layers unpacked side by side: in any order, by several processes, called off, or failed half-way."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from carob.errors import Cancelled, Conflict, CorruptData
from carob.image import Store, Trees, gc
from carob.image.files.overlay import OverlayForm
from carob.image.layers.growing import StoredInput
from carob.image.layers.record import check_layer
from carob.image.layers.unpacking import Unpacking
from carob.image.store.resolved import ResolvedImage
from tests.unit.image.archives import directory, layout_of, member, snapshot, tar

LAYERS = [
    tar(directory("d", mode=0o750, uid=9), member("d/a", b"a"), member("d/b", b"b"), member("e/x", b"x")),
    tar(member("d/.wh.a"), member("d/c", os.urandom(300_000))),
    tar(member("e/.wh..wh..opq"), member("e/y", b"y")),
    tar(member("d/a", b"again"), member("d/.wh.c")),
]


class Input:
    """The bytes of one blob, a piece at a time, with something to do at each."""

    def __init__(self, data: bytes, at_read: Callable[[], object] = lambda: None) -> None:
        self._data = memoryview(data)
        self._at_read = at_read
        self.is_closed = False

    def read(self, size: int) -> bytes:
        self._at_read()
        piece, self._data = self._data[: min(size, 70_000)], self._data[min(size, 70_000) :]
        return bytes(piece)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def image(store: Store, trees: Trees, tmp_path: Path) -> ResolvedImage:
    return store.import_path(str(layout_of(tmp_path / "layout", *LAYERS, compress=False)), name="app")


def names(trees: Trees) -> set[str]:
    return {name for name in os.listdir(trees.layers) if not name.startswith(".")}


def workplaces(trees: Trees) -> list[str]:
    return os.listdir(trees.layers + "/.tmp")


def contents(trees: Trees, image: ResolvedImage) -> list[object]:
    return [snapshot(trees.layer_path(chain_id)) for chain_id in image.chain_ids]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3], ids=str)
def test_layers_in_any_order(
    trees: Trees, image: ResolvedImage, tmp_path: Path, order: tuple[int, ...]
) -> None:
    """They come out as if they had come from the bottom up, and have their names in that order."""
    other = Trees(str(tmp_path / "other"))
    for where, positions in ((trees, order), (other, range(4))):
        done: list[int] = []
        with Unpacking(where, image, on_done=done.append) as unpacking:
            for count, position in enumerate(positions, 1):
                unpacking.layer(position, lambda position=position: Input(LAYERS[position]))
                ready = next((n for n in range(4) if n not in positions[:count]), 4)
                assert done == list(range(ready))
                assert len(names(where)) == ready
            unpacking.finish()
        assert workplaces(where) == []
    assert contents(trees, image) == contents(other, image)
    assert [check_layer(trees, chain_id) for chain_id in image.chain_ids] == [[]] * 4


def test_layers_from_many_threads(trees: Trees, image: ResolvedImage) -> None:
    errors: list[BaseException] = []

    def unpack(position: int) -> None:
        try:
            unpacking.layer(
                position, lambda: Input(LAYERS[position], lambda: time.sleep(random.uniform(0, 0.02)))
            )
        except BaseException as error:
            errors.append(error)

    with Unpacking(trees, image) as unpacking:
        threads = [threading.Thread(target=unpack, args=(position,)) for position in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        unpacking.finish()
    assert errors == []
    assert len(names(trees)) == 4


def test_a_layer_that_fails_may_come_again(trees: Trees, image: ResolvedImage) -> None:
    bad = Input(LAYERS[1][:-20000])
    with Unpacking(trees, image) as unpacking:
        unpacking.layer(0, lambda: Input(LAYERS[0]))
        with pytest.raises(CorruptData):
            unpacking.layer(1, lambda: bad)
        assert bad.is_closed
        assert workplaces(trees) == []
        for position in (3, 2, 1):
            unpacking.layer(position, lambda position=position: Input(LAYERS[position]))
        unpacking.finish()
    assert len(names(trees)) == 4


def test_what_the_input_raises_is_raised(trees: Trees, image: ResolvedImage) -> None:
    class Sought(Exception):
        pass

    def fail() -> None:
        raise Sought

    with Unpacking(trees, image) as unpacking, pytest.raises(Sought):
        unpacking.layer(0, lambda: Input(LAYERS[0], fail))
    with Unpacking(trees, image) as unpacking, pytest.raises(Sought):
        unpacking.layer(0, fail)  # type: ignore[arg-type]
    assert names(trees) == set()
    assert workplaces(trees) == []


def test_called_off(trees: Trees, image: ResolvedImage) -> None:
    """Upper layers are ready and the lowest is still being read."""
    with Unpacking(trees, image) as unpacking:
        unpacking.layer(2, lambda: Input(LAYERS[2]))
        with pytest.raises(Cancelled):
            unpacking.layer(0, lambda: Input(LAYERS[0], unpacking.stop))
        with pytest.raises(Cancelled):
            unpacking.layer(1, lambda: Input(LAYERS[1]))
        assert len(workplaces(trees)) == 1
    assert workplaces(trees) == []
    assert names(trees) == set()


def test_leaving_early_keeps_what_is_whole(trees: Trees, image: ResolvedImage) -> None:
    with Unpacking(trees, image) as unpacking:
        for position in (0, 1, 3):
            unpacking.layer(position, lambda position=position: Input(LAYERS[position]))
    assert len(names(trees)) == 2
    assert workplaces(trees) == []
    with Unpacking(trees, image) as unpacking:
        for position in range(4):
            unpacking.layer(position, lambda position=position: Input(LAYERS[position]))
        unpacking.finish()
    assert len(names(trees)) == 4


def test_a_layer_that_nobody_brings(trees: Trees, image: ResolvedImage) -> None:
    with Unpacking(trees, image) as unpacking:
        unpacking.layer(0, lambda: Input(LAYERS[0]))
        with pytest.raises(Conflict, match="collected meanwhile"):
            unpacking.finish()


def test_garbage_collection_leaves_named_layers(trees: Trees, image: ResolvedImage, store: Store) -> None:
    with Unpacking(trees, image) as unpacking:
        unpacking.layer(0, lambda: Input(LAYERS[0]))
        store.remove("app")
        gc(trees.directory, in_use=list)
        assert len(names(trees)) == 1
    gc(trees.directory, in_use=list)
    assert names(trees) == set()
    assert os.listdir(trees.layers + "/.records") == []


OTHER = """
import sys
from carob.image import Store, Trees
from carob.image.layers.growing import StoredInput
from carob.image.layers.unpacking import Unpacking
store, trees = Store(sys.argv[1]), Trees(sys.argv[1])
image = store.resolve("app")
positions, ending = eval(sys.argv[2]), sys.argv[3]
def opened(position):
    return StoredInput(store.layout.open_blob(image.layers[position]), lambda: None)
with Unpacking(trees, image) as unpacking:
    for position in positions:
        def open_input():
            if position == positions[-1]:
                print("holding", flush=True)
                sys.stdin.readline()
            return opened(position)
        unpacking.layer(position, open_input)
    if ending == "finish":
        for position in range(4):
            unpacking.layer(position, lambda position=position: opened(position))
        unpacking.finish()
"""


def other_process(data: Path, positions: str, ending: str = "finish") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(data), positions, ending],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    return process


def brought(store: Store, image: ResolvedImage, unpacking: Unpacking) -> list[int]:
    """Calls ``layer`` for all; returns those whose input was opened, now or later."""
    opened: list[int] = []

    def open_input(position: int) -> StoredInput:
        opened.append(position)
        return StoredInput(store.layout.open_blob(image.layers[position]), lambda: None)

    for position in range(4):
        unpacking.layer(position, lambda position=position: open_input(position))
    return opened


@pytest.mark.parametrize("positions", ["[0]", "[2, 0]", "[3, 1]"])
def test_another_process_is_waited_for(
    store: Store, trees: Trees, image: ResolvedImage, data: Path, positions: str
) -> None:
    """Each has layers that the other needs, and both come to an end."""
    process = other_process(data, positions)
    with Unpacking(trees, image) as unpacking:
        opened = brought(store, image, unpacking)
        assert set(opened) == set(range(4)) - set(eval(positions))
        timer = threading.Timer(0.2, lambda: process.communicate("go\n"))
        timer.start()
        unpacking.finish()
        assert set(opened) == set(range(4)) - set(eval(positions))
    timer.join()
    assert process.returncode == 0
    assert len(names(trees)) == 4
    assert [check_layer(trees, chain_id) for chain_id in image.chain_ids] == [[]] * 4


def test_another_process_that_dies(store: Store, trees: Trees, image: ResolvedImage, data: Path) -> None:
    process = other_process(data, "[1, 0]")
    with Unpacking(trees, image) as unpacking:
        opened = brought(store, image, unpacking)
        assert set(opened) == {2, 3}
        timer = threading.Timer(0.2, process.kill)
        timer.start()
        unpacking.finish()
        assert set(opened) == {0, 1, 2, 3}
    process.communicate()
    timer.join()
    assert len(names(trees)) == 4
    assert workplaces(trees) == []


def test_waiting_for_another_process_is_called_off(
    store: Store, trees: Trees, image: ResolvedImage, data: Path
) -> None:
    process = other_process(data, "[0]", "leave")
    with Unpacking(trees, image) as unpacking:
        brought(store, image, unpacking)
        timer = threading.Timer(0.2, unpacking.stop)
        timer.start()
        with pytest.raises(Cancelled):
            unpacking.finish()
    timer.join()
    process.communicate("go\n")
    assert len(names(trees)) == 1
    assert workplaces(trees) == []


def test_two_kinds_of_stores_are_kept_apart(trees: Trees, image: ResolvedImage) -> None:
    os.makedirs(trees.layers)
    Path(trees.layers, ".form").write_text("user\n")
    with pytest.raises(Conflict, match="in the form 'user', not 'trusted'"):
        trees.ensure(image)
    Path(trees.layers, ".form").write_text("rubbish\n")
    with pytest.raises(CorruptData, match="form"):
        trees.ensure(image)


KILLED = """
import builtins, os, signal, sys
from carob.image import Store, Trees
real = builtins.open
def opened(path, *words, **options):
    file = real(path, *words, **options)
    if words[:1] == ("w",):  # the list of the layers below, before anything is in it
        os.kill(os.getpid(), signal.SIGKILL)
    return file
builtins.open = opened
Trees(sys.argv[1]).ensure(Store(sys.argv[1]).resolve("app"))
"""


def test_killed_before_the_layers_below_are_written_down(
    trees: Trees, image: ResolvedImage, data: Path
) -> None:
    """A pod has the layer, and what is written down about it is made once more."""
    trees.ensure(image)
    for chain_id in image.chain_ids:
        os.rename(trees.layer_path(chain_id), trees.layers + "/.was" + chain_id[7:])
    run = subprocess.run([sys.executable, "-c", KILLED, str(data)], check=False, capture_output=True)
    assert run.returncode == -9, run.stderr
    for position, chain_id in enumerate(image.chain_ids):
        assert trees.chain_of(chain_id) == image.chain_ids[: position + 1]
    assert gc(str(data), in_use=lambda: image.chain_ids).problems == ()
    assert workplaces(trees) == []


FORM = """
import sys
from carob.image import Trees
from carob.image.files.overlay import OverlayForm
print("ready", flush=True)
sys.stdin.read()
for number in range(40):
    Trees(f"{sys.argv[1]}/{number}").prepare(OverlayForm.USER)
"""


def test_many_first_ones_say_the_form(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FORM, str(tmp_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    assert [process.communicate()[1] for process in processes] == [""] * 4
    for number in range(40):
        assert Trees(str(tmp_path / str(number))).form() is OverlayForm.USER
    (tmp_path / "0" / "layers" / ".tmp" / ".form").touch()  # as one that was killed leaves it
    assert gc(str(tmp_path / "0"), in_use=tuple).problems == ()

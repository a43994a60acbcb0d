"""Mutable pods in which no process can be made for a while, as when an app uses up what its pod may have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carob import Engine, File, MemoryVolume, Mount, PodHandle
from carob.errors import CarobError
from tests.root import host_view
from tests.root.mutable_pods import app, directory, is_settled, known


@contextmanager
def no_more_processes(pod: PodHandle) -> Iterator[None]:
    """Within the block neither the apps nor init can make a process."""
    files = [Path(path) / "pids.max" for path in host_view.cgroups(pod.uuid) if path.endswith(pod.uuid)]
    files = [file for file in files if file.is_file()]
    assert files
    for file in files:
        file.write_text("1")
    try:
        yield
    finally:
        for file in files:
            file.write_text("max")


def test_an_app_that_could_not_be_started_can_be_started_later(engine: Engine) -> None:
    with engine.sandbox() as pod:
        pod.add(app("web"))
        with no_more_processes(pod), pytest.raises(CarobError):
            pod.start_app("web")
        assert known(engine, pod) == {"web": "created"}
        pod.start_app("web")
        assert known(engine, pod) == {"web": "running"}


@pytest.mark.parametrize("state", ["created", "running", "ended"])
def test_an_app_is_removed_all_the_same(engine: Engine, state: str) -> None:
    with engine.sandbox() as pod:
        pod.add(app("other"))
        pod.start_app("other")
        pod.add(app("web"))
        if state != "created":
            pod.start_app("web")
        if state == "ended":
            pod.stop_app("web")
        with no_more_processes(pod):
            try:
                pod.remove_app("web", force=True)
            except CarobError as error:
                print(error)
        pod.add(app("next"))
        assert known(engine, pod)["other"] == "running"
        pod.remove_app("next")
        if "web" in known(engine, pod):
            pod.remove_app("web", force=True)
        is_settled(engine, pod)


def test_what_comes_to_nothing_leaves_no_descriptor_in_init(engine: Engine) -> None:
    with engine.sandbox() as pod:
        init = host_view.keeper(directory(engine, pod), "init")
        counts = []
        with no_more_processes(pod):
            for _ in range(3):
                with pytest.raises(CarobError):
                    pod.add(app("web", files=[File("/etc/secret", "s")]), pid="pod")
                with pytest.raises(CarobError):
                    pod.add(app("web", mounts=[Mount(MemoryVolume(), "/m")]))
                counts.append(len(os.listdir(f"/proc/{init}/fd")))
        assert counts[1:] == counts[:1] * 2

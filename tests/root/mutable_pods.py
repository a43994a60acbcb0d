"""What a mutable pod is, as its manifest, its directory, its init and its init's mounts tell it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from carob import App, Engine, PodHandle
from carob.pod import open_pod
from carob.supervisor import client
from tests.root import host_view

TRAPS = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"
"""Ends well when it is asked to, if it got so far."""


def app(name: str, script: str = TRAPS, **more: object) -> App:
    return App("busybox", ["sh", "-c", script], name=name, **more)  # type: ignore[arg-type]


def directory(engine: Engine, pod: PodHandle) -> Path:
    return host_view.pod_directory(engine.data_dir, pod.uuid)


def named(pod: PodHandle) -> list[str]:
    """Return the names of the apps that the manifest has."""
    return sorted(str(one["name"]) for one in json.loads(pod.manifest())["apps"])


def known(engine: Engine, pod: PodHandle) -> dict[str, str]:
    """Return the states of the apps that init knows."""
    with open_pod(engine.data_dir, pod.uuid) as opened:
        apps = client.ask(opened.fd(), pod.uuid, {"op": "status"})["apps"]
    return {name: str(one["state"]) for name, one in apps.items()}


def is_explained(engine: Engine, pod: PodHandle) -> None:
    """What the manifest names is there and known to init, whatever else is left over."""
    top, inside = directory(engine, pod), known(engine, pod)
    for name in named(pod):
        assert (top / f"carob/apps/{name}/config.json").is_file()
        assert (top / f"appsinfo/{name}/manifest").is_file()
        assert name in inside
        shown, is_now = pod.status().app(name).state, inside[name]
        assert shown == is_now or {shown, is_now} <= {"created", "starting", "running"}


def is_settled(engine: Engine, pod: PodHandle) -> None:
    """The manifest, the directory, init and its mounts say the same: nothing is left over."""
    is_explained(engine, pod)
    names, top = named(pod), directory(engine, pod)
    assert sorted(known(engine, pod)) == names
    assert sorted(os.listdir(top / "carob/apps") if names else []) == names
    assert sorted(path.name for path in top.glob("appsinfo/*")) == names
    for part in ("upper", "work"):
        assert sorted(path.name for path in top.glob(f"overlay/sha256-*/{part}/*")) == names
    logs = {path.name.partition(".")[0] for path in top.glob("carob/logs/*")}
    volumes = {path.name.rpartition("-")[0] for path in top.glob("carob/volumes/*")}
    status = top / "overlay/carob-stage1-1/upper/rkt/status"
    marks = {path.name.removesuffix("-created").removesuffix("-started") for path in status.iterdir()}
    assert logs | volumes | marks <= set(names)
    assert list(top.glob(".*")) == []
    assert mounted(engine, pod) == names


def mounted(engine: Engine, pod: PodHandle) -> list[str]:
    """Return the names of the apps that init has mounts of; each has a root file system."""
    init = host_view.keeper(directory(engine, pod), "init")
    places = [line.split()[4] for line in host_view.read(f"/proc/{init}/mountinfo").splitlines()]
    roots = [place.removeprefix("/apps/") for place in places if place.startswith("/apps/")]
    others = [place.split("/")[2] for place in places if place.startswith(("/files/", "/logs/"))]
    others += [place.split("/")[2].rpartition("-")[0] for place in places if place.startswith("/volumes/")]
    assert set(others) <= set(roots)
    return sorted(roots)


def cgroups_of(pod: PodHandle, name: str) -> list[str]:
    """Return the control groups of an app."""
    return [path for path in host_view.cgroups(pod.uuid) if path.endswith(f"/{name}")]

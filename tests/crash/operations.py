"""The operations that are killed: what was there before, and the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.crash.world import World

_FAILS = ("--", "sh", "-c", "echo said; exit 7")
_STAYS = ("--", "sleep", "1000")


class Operation(NamedTuple):
    """``before`` makes what the operation needs, and returns the words of its command line."""

    name: str
    before: Callable[[World], list[str]]


def _running(world: World, *options: str) -> str:
    return world.must("run", "--detach", *options, "busybox", *_STAYS).strip()


def _prepared(world: World) -> str:
    return world.must("prepare", "busybox", *_FAILS).strip()


def _exited(world: World) -> str:
    uuid = _prepared(world)
    world.call("run-prepared", uuid)
    return uuid


def _paused(world: World) -> str:
    uuid = _running(world)
    world.must("pause", uuid)
    return uuid


def _sandbox(world: World) -> str:
    return world.must("app", "sandbox").strip()


def _added(world: World, *words: str) -> str:
    """A mutable pod with one app, created."""
    uuid = _sandbox(world)
    world.must("app", "add", uuid, "busybox", "--name=one", *words)
    return uuid


def _started(world: World) -> str:
    uuid = _added(world, *_STAYS)
    world.must("app", "start", uuid, "one")
    return uuid


def _marked(world: World) -> list[str]:
    _exited(world)
    world.must("gc", "--grace-period=1h")
    _exited(world)
    _prepared(world)
    return ["gc", "--grace-period=0s", "--expire-prepared=0s"]


def _other(world: World) -> list[str]:
    """An image of one more layer than the usual one, to be taken in."""
    more = world.top / "more"
    (more / "etc").mkdir(parents=True, exist_ok=True)
    (more / "etc/file").write_text("another layer\n")
    return ["image", "import", str(more), "--name", "other"]


def _to_remove(world: World) -> list[str]:
    world.must(*_other(world))
    return ["image", "rm", "other"]


def _to_collect(world: World) -> list[str]:
    world.must(*_other(world))
    world.must("image", "rm", "other")
    return ["image", "gc"]


OPERATIONS = {
    one.name: one
    for one in (
        Operation("prepare", lambda _: ["prepare", "busybox", *_FAILS]),
        Operation("run", lambda _: ["run", "busybox", *_FAILS]),
        Operation("run --rm", lambda _: ["run", "--rm", "busybox", *_FAILS]),
        Operation("run --detach", lambda _: ["run", "--detach", "busybox", *_STAYS]),
        Operation("run-prepared", lambda world: ["run-prepared", _prepared(world)]),
        Operation("stop", lambda world: ["stop", "--grace=0s", _running(world)]),
        Operation("kill", lambda world: ["kill", _running(world)]),
        Operation("pause", lambda world: ["pause", _running(world)]),
        Operation("resume", lambda world: ["resume", _paused(world)]),
        Operation("stop a paused one", lambda world: ["stop", "--grace=0s", _paused(world)]),
        Operation("restart", lambda world: ["restart", _running(world)]),
        Operation("enter", lambda world: ["enter", _running(world), "sh", "-c", "exit 7"]),
        Operation("app sandbox", lambda _: ["app", "sandbox"]),
        Operation("app add", lambda world: ["app", "add", _sandbox(world), "busybox", *_FAILS]),
        Operation("app start", lambda world: ["app", "start", _added(world, *_FAILS), "one"]),
        Operation("app stop", lambda world: ["app", "stop", "--grace=0s", _started(world), "one"]),
        Operation("app rm", lambda world: ["app", "rm", "--force", _started(world), "one"]),
        Operation("rm", lambda world: ["rm", _exited(world)]),
        Operation("rm --force", lambda world: ["rm", "--force", _running(world)]),
        Operation("gc", _marked),
        Operation("image import", _other),
        Operation("image load", lambda world: ["image", "load", str(world.image)]),
        Operation("image rm", _to_remove),
        Operation("image gc", _to_collect),
        Operation("run with a volume", lambda _: ["run", "--volume", "named:/data", "busybox", *_FAILS]),
        Operation("run with a network", lambda _: ["run", "--net=default", "busybox", *_FAILS]),
    )
}

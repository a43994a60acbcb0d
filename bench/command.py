"""The command's hot verbs, through the console script of an installed wheel, beside the bare interpreter."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figure import Figure, Skipped, Target, Unmeasurable
from bench.pairs import MODES, in_turn
from bench.setting import IMAGE, Setting

_PAIRS = 25
_PODMAN_PAIRS = 8
_TARGET = Target(ratio=3)
_RUN_TARGET = Target(ratio=1 / 4)


def verbs(setting: Setting) -> Iterator[Figure | Skipped]:
    """version, list and status of one exited pod, and run of true."""
    pod = setting.engine.run(setting.app("true"))
    pod.wait()
    try:
        installed = setting.installed
        interpreter = [installed.python, "-c", "pass"]
        for verb, arguments, target in (
            ("version", ["version"], _TARGET),
            ("list", ["list"], _TARGET),
            ("status", ["status", pod.uuid], _TARGET),
            ("run --rm", ["run", "--rm", IMAGE, "--", "true"], None),
        ):
            yield from _verb(setting, verb, _command(setting, *arguments), interpreter, target)
        yield from _run_beside_podman(setting)
    except Unmeasurable as error:
        yield Skipped("the command's verbs, beside the bare interpreter", str(error))
    finally:
        pod.remove(force=True)


def _command(setting: Setting, *arguments: str) -> list[str]:
    return [setting.installed.command, f"--dir={setting.engine.data_dir}", *arguments]


def _verb(
    setting: Setting, verb: str, command: list[str], interpreter: list[str], target: Target | None
) -> Iterator[Figure | Skipped]:
    spawn = setting.spawner.run
    try:
        spawn(command)
        for mode, gap_s in MODES:
            takes = [lambda: spawn(command)[0], lambda: spawn(interpreter)[0]]
            ours, theirs = in_turn(takes, setting.pairs(_PAIRS), gap_s)
            yield Figure(f"carob {verb}", ours, mode, peer="python3 -c pass", theirs=theirs, target=target)
    except Unmeasurable as error:
        yield Skipped(f"carob {verb}", str(error))


def _run_beside_podman(setting: Setting) -> Iterator[Figure | Skipped]:
    """Each runs true and leaves the pod, which is then removed off the clock."""
    command = _command(setting, "run", IMAGE, "--", "true")

    def run() -> float:
        ms = setting.spawner.run(command)[0]
        setting.engine.gc(grace_s=0)
        return ms

    try:
        podman = setting.podman
        for mode, gap_s in MODES:
            ours, theirs = in_turn([run, podman.run], setting.pairs(_PODMAN_PAIRS), gap_s)
            peer = f"podman run ({podman.runtime})"
            yield Figure("carob run", ours, mode, peer=peer, theirs=theirs, target=_RUN_TARGET)
    except Unmeasurable as error:
        yield Skipped("carob run, beside podman", str(error))

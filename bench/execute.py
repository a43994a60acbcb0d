"""One more process in a running app: ``true``, from the call to its exit status."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figure import Figure, Skipped, Target, Unmeasurable
from bench.pairs import MODES, in_turn, timed
from bench.setting import Setting

_PAIRS = 40
_PODMAN_PAIRS = 10
_WHAT = "exec of true"
_CRUN_TARGET = Target(ratio=2.5)


def execute(setting: Setting) -> Iterator[Figure | Skipped]:
    """The library's ``exec`` beside ``crun exec`` and ``podman exec``, each into a container that runs."""
    pod = setting.engine.run(setting.app("sleep", "3600"))
    try:
        ours = timed(lambda: pod.exec(["true"], check=True))
        try:
            with setting.crun.live() as theirs:
                for mode, gap_s in MODES:
                    samples = in_turn([ours, theirs], setting.pairs(_PAIRS), gap_s, warm_up=2)
                    yield Figure(
                        _WHAT, samples[0], mode, peer="crun exec", theirs=samples[1], target=_CRUN_TARGET
                    )
        except Unmeasurable as error:
            yield Skipped(f"{_WHAT}, beside crun", str(error))
        try:
            with setting.podman.live() as theirs:
                samples = in_turn([ours, theirs], setting.pairs(_PODMAN_PAIRS))
                peer = f"podman exec ({setting.podman.runtime})"
                yield Figure(_WHAT, samples[0], MODES[0][0], peer=peer, theirs=samples[1])
        except Unmeasurable as error:
            yield Skipped(f"{_WHAT}, beside podman", str(error))
    finally:
        pod.remove(force=True)

"""``python -m bench [--quick] [--json FILE] [--markdown] [MEASUREMENT…]``; ``--list`` names them all."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

try:
    from bench import (
        chatty,
        command,
        cri_many,
        cri_pods,
        execute,
        list_images,
        list_pods,
        live_pods,
        memory,
        networks,
        one_pod,
        pull,
        report,
        run_to_exit,
        second_image,
        side_by_side,
        verify_images,
        wake_up,
    )
    from bench.figure import Figure, Results, Skipped, Unmeasurable
    from bench.machine import describe
    from bench.setting import Setting, setting
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; `make setup` installs carob into .venv, and `make bench` runs this from there")

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PAGE = os.path.join(_ROOT, "docs/explanation/performance.md")

Measurement = Callable[[Setting], Iterator[Figure | Skipped]]
MEASUREMENTS: dict[str, Measurement] = {
    "run": run_to_exit.one_app,
    "three-apps": run_to_exit.three_apps,
    "network": networks.networks,
    "states": list_pods.states,
    "list": list_pods.documents,
    "status": one_pod.status,
    "rm": one_pod.removal,
    "wake-up": wake_up.wake_up,
    "memory": memory.memory,
    "command": command.verbs,
    "exec": execute.execute,
    "sixteen": side_by_side.sixteen,
    "live": live_pods.live,
    "logs": chatty.logs,
    "pull": pull.pull,
    "second-image": second_image.second_image,
    "image-list": list_images.images,
    "verify": verify_images.verify,
    "cri": cri_pods.calls,
    "cri-pods": cri_pods.whole_pods,
    "cri-list": cri_many.many_pods,
    "cri-calls": cri_many.many_calls,
}


def main() -> int:
    arguments = _arguments()
    if arguments.list:
        for name, measurement in MEASUREMENTS.items():
            print(f"{name:<14}{measurement.__doc__}")
        return 0
    if os.geteuid() != 0:
        sys.exit("error: pods are made as root here; run it as root")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with setting(arguments.dir, quick=arguments.quick) as ground:
        results = Results(describe(ground.directory))
        status = 0
        try:
            for name in arguments.measurement or MEASUREMENTS:
                _measure(name, ground, results)
        except KeyboardInterrupt:
            print("interrupted: what follows is what was measured so far", file=sys.stderr)
        except OSError as error:
            print(f"error: {error}: what follows is what was measured so far", file=sys.stderr)
            status = 1
    print(report.table(results))
    if arguments.json:
        report.write_json(results, arguments.json)
    if arguments.markdown:
        report.write_markdown(results, arguments.markdown)
    return status


def _measure(name: str, ground: Setting, results: Results) -> None:
    start = time.monotonic()
    try:
        for one in MEASUREMENTS[name](ground):
            if isinstance(one, Skipped):
                results.skipped.append(one)
            else:
                results.figures.append(one)
    except Unmeasurable as error:
        results.skipped.append(Skipped(name, str(error)))
    print(f"{name}: measured in {time.monotonic() - start:.0f} s", file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures carob beside its peers.")
    parser.add_argument("measurement", nargs="*", metavar="MEASUREMENT", help="by default all; see --list")
    parser.add_argument("--list", action="store_true", help="name the measurements")
    parser.add_argument("--quick", action="store_true", help="a quarter of the samples, no list of 10,000")
    parser.add_argument("--json", metavar="FILE", help="write everything, each sample included, to FILE")
    parser.add_argument(
        "--markdown", nargs="?", const=_PAGE, metavar="FILE",
        help="write the figures into docs/explanation/performance.md, or FILE",
    )  # fmt: skip
    parser.add_argument("--dir", help="where the temporary data directory is made, on a disk (/var/tmp)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.measurement if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"no such measurement: {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())

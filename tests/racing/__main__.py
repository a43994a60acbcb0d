"""`make race-test`: workers race in rounds, and each round's history is checked.

    python -m tests.racing [--seconds N] [--round N] [--seed S] [--workers W] [--results FILE]

Each round has a seed of its own, counted up from S, that chooses what is done and what is delayed; the kernel
chooses the rest, so the same seed need not find the same again. FILE gets all calls, a line of JSON each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.crash.world import Violation, World
from tests.racing import race


def main() -> None:
    options = _options()
    world = World(Path(tempfile.mkdtemp(prefix="carob-racing-")) / "world")
    totals: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + options.seconds
    try:
        world.make()
        seed = options.seed
        while (left_s := until - time.monotonic()) > 0:
            _round(world, seed, min(left_s, options.round), options, totals, outcomes)
            seed += 1
    finally:
        world.remove()
        world.top.parent.rmdir()
    print("\noutcomes:")
    for name, count in sorted(outcomes.items()):
        print(f"  {count:6} {name}")
    print(", ".join(f"{count} {name}" for name, count in sorted(totals.items())))
    sys.exit(1 if totals["violations"] else 0)


def _round(
    world: World,
    seed: int,
    seconds: float,
    options: argparse.Namespace,
    totals: Counter[str],
    outcomes: Counter[str],
) -> None:
    one = race.Race(world, workers=options.workers, seed=seed)
    calls = one.run(seconds)
    if options.results:
        race.write(options.results, seed, calls)
    wrong, counts = race.judge(calls)
    wrong += one.troubles
    try:
        one.clean()
    except Violation as found:
        wrong.append(str(found))
        world.start_afresh()
    totals += counts
    totals.update({"calls": len(calls), "workers killed": one.killed, "violations": len(wrong)})
    outcomes.update(f"{call.verb}: {call.outcome}" for call in calls)
    for words in wrong:
        print(f"VIOLATION in the round of seed {seed}: {words}", flush=True)
    print(
        f"seed {seed}: {len(calls)} calls, {one.killed} workers killed, {len(wrong)} violations", flush=True
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.racing")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--round", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--results", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()

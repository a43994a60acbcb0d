"""`make crash-test`: every operation, killed at every point of each of its processes.

    python -m tests.crash [--operation NAME]… [--role NAME]… [--every N] [--offset K] [--results FILE]

What was tried is in FILE, a line of JSON a point, and is not tried again: a run that was cut short goes on,
and several may share the points with --every and --offset.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.crash.operations import OPERATIONS, Operation
from tests.crash.points import Point, kill, points_of, survey
from tests.crash.world import Violation, World


def main() -> None:
    options = _options()
    done = _already(options.results)
    totals: Counter[str] = Counter()
    passed: Counter[tuple[str, str]] = Counter()
    top = Path(tempfile.mkdtemp(prefix="carob-crash-"))
    world = World(top / "world")
    try:
        world.make()
        for operation in [OPERATIONS[name] for name in options.operation or OPERATIONS]:
            seen = survey(world, operation)
            world.check()
            world.clean()
            passed += seen.passed_over
            wanted = [one for one in points_of(seen) if not options.role or one.role in options.role]
            _try_all(world, operation, wanted[options.offset :: options.every], done, options, totals)
    finally:
        world.remove()
    print(f"\n{totals['tried']} points tried, {totals['violations']} violations; "
          f"{totals['before']} were tried before, {totals['not reached']} not reached this time")  # fmt: skip
    print("calls that are no points:")
    for why in sorted({why for _, why in passed}):
        print(f"  {why}: {', '.join(sorted({name for name, for_that in passed if for_that == why}))}")
    sys.exit(1 if totals["violations"] else 0)


def _try_all(
    world: World,
    operation: Operation,
    points: list[Point],
    done: set[tuple[str, str, int]],
    options: argparse.Namespace,
    totals: Counter[str],
) -> None:
    began = time.monotonic()
    tried = 0
    for point in points:
        if (operation.name, *point) in done:
            totals["before"] += 1
            continue
        result = try_one(world, operation, point)
        tried += 1
        totals["tried"] += 1
        totals["not reached"] += result["call"] == "" and not result["violation"]
        if result["violation"]:
            totals["violations"] += 1
            print(f"VIOLATION {operation.name}, {point.role} before its call {point.number} "
                  f"({result['call']}): {result['violation']}", flush=True)  # fmt: skip
        if options.results:
            with open(options.results, "a", encoding="utf-8") as file:
                file.write(json.dumps({"operation": operation.name, **point._asdict(), **result}) + "\n")
    took_s = time.monotonic() - began
    print(f"{operation.name}: {tried} of {len(points)} points in {took_s:.0f} s", flush=True)


def try_one(world: World, operation: Operation, point: Point) -> dict[str, str]:
    """Kills an operation at a point, looks at what is left, and takes it away."""
    call = violation = ""
    try:
        call = kill(world, operation, point).call
        world.check()
    except Violation as found:
        violation = str(found)
    try:
        world.clean()
    except Violation as found:
        violation = "; ".join(filter(None, [violation, str(found)]))
        world.start_afresh()
    return {"call": call, "violation": violation}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--operation", action="append", choices=list(OPERATIONS))
    parser.add_argument("--role", action="append")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--results", type=Path)
    return parser.parse_args()


def _already(path: Path | None) -> set[tuple[str, str, int]]:
    if path is None or not path.exists():
        return set()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {(line["operation"], line["role"], line["number"]) for line in lines}


if __name__ == "__main__":
    main()

"""One of the processes that race: ``python -m tests.racing.worker TOP NUMBER SEED WEIGHTS``.

Its steps (`tests.root.steps`) are delayed by chance, each run by its seed in its own way. It ends when there
is a file TOP/stop.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

from carob import Engine
from tests.racing.verbs import Record, Verbs
from tests.root import steps

STOP = "stop"
_DELAYED = 0.06
_LONGEST_S = 0.008


def shake(seed: int) -> None:
    """Has some of this process's steps wait a little, from now on."""
    chance = random.Random(seed)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if steps.is_step(event, arguments) and chance.random() < _DELAYED:
            time.sleep(chance.random() * _LONGEST_S)

    sys.addaudithook(hook)


def main() -> None:
    top, number, seed, weights = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    record = Record(top / "records" / number)
    verbs = Verbs(Engine(top / "data"), top, record, random.Random(seed), weights)
    shake(seed)
    while not (top / STOP).exists():
        verbs.one()


if __name__ == "__main__":
    main()

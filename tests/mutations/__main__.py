"""Tries mutations: ``python -m tests.mutations [--jobs N] [WORD ...]``, all, or those with each word in them.

First each test is run with the sources as they are, where it has to pass, then with each of its mutations,
where it has to fail. Ends with status 1 if one does not.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from time import monotonic

from tests.mutations.catalog import MUTATIONS
from tests.mutations.mutation import Mutation
from tests.mutations.trial import Outcome, Run, run

CAUGHT, SKIPPED = "caught", "skipped"


def main() -> int:
    """Runs the program; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many at a time (1)")
    parser.add_argument("--show", action="store_true", help="show what pytest said of those not caught")
    parser.add_argument("words", nargs="*", metavar="WORD", help="a part of a promise, a file or a test")
    options = parser.parse_args()
    chosen = [one for one in MUTATIONS if all(word in " ".join(one[:6]) for word in options.words)]
    for one in chosen:
        one.mutated()  # before anything is run: ``ValueError`` where it cannot be made
    unchanged = cache(lambda test: run(test, None))
    with ThreadPoolExecutor(options.jobs) as threads:
        words = Counter(threads.map(lambda one: _try(one, unchanged, show=options.show), chosen))
    print(", ".join([f"{len(chosen)} mutations", *[f"{count} {word}" for word, count in words.items()]]))
    return 0 if chosen and words[CAUGHT] + words[SKIPPED] == len(chosen) else 1


def _try(mutation: Mutation, unchanged: Callable[[str], Run], *, show: bool) -> str:
    begun = monotonic()
    result = unchanged(mutation.test)
    if result.outcome is Outcome.PASSED:
        result = run(mutation.test, mutation)
        word = {Outcome.FAILED: CAUGHT, Outcome.PASSED: "MISSED"}.get(result.outcome, "BROKEN")
    else:
        word = SKIPPED if result.outcome is Outcome.SKIPPED else "FAILS WITHOUT IT"
    print(f"{word:8} {monotonic() - begun:6.1f} s  {mutation.file}: {mutation.breaks}", flush=True)
    if show and word not in (CAUGHT, SKIPPED):
        print(result.output, flush=True)
    return word


sys.exit(main())

"""Mutations: small changes that each break a promise of carob's, and the test that has to notice.

``docs/explanation/reliability.md`` names the promises. ``python -m tests.mutations`` tries all of them
(`make mutation-test`); `tests/architecture/test_mutations.py` sees to it that each can still be made, and
tries the quick ones.
"""

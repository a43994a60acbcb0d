"""Measurements of carob beside its peers, taken in one run: see docs/explanation/performance.md."""

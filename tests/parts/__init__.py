"""Real parts to test and to measure with: registries, images, other people's readers and writers.

Nothing here knows carob, so that what carob does is judged by something else. Nothing here but `fixtures`
knows pytest either: the benchmarks use the same parts. Everything listens on the loopback interface only.
"""

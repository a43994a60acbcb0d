"""Networks of pods, by CNI: where they are configured, and attaching, detaching and cleaning up after them.

What runs beside a starting pod (``attach`` and what it imports) is as lean as the supervisor itself.
"""

"""The two processes that keep a pod: monitor (host side) and init (PID 1 inside), and how to reach them.

``launch`` and ``client`` are for callers. Everything else here runs in the supervisor itself and imports
next to nothing: two interpreters live as long as each pod does.
"""

"""The words for an app's life that engine and supervisor share: roles, states, restart policies, streams.

The launch plan and ``carob/apps/<app>/life.json`` have them. That note, version 1, is there once an app
was started again or paused: ``app``, ``state``, ``restarts``, ``started_ns`` of its last run, and ``last``,
how the run before that ended (as in an exit record, with ``finished_ns``), or null.
"""

from __future__ import annotations

INIT = "init"
SIDECAR = "sidecar"
MAIN = "main"

CREATED = "created"
STARTING = "starting"
RUNNING = "running"
PAUSED = "paused"
WAITING = "waiting"
ENDED = "ended"

NEVER = "never"
ON_FAILURE = "on-failure"
ALWAYS = "always"

NULL = "null"
LOG = "log"
STREAM = "stream"
TTY = "tty"

NOTE_VERSION = 1
LAST_GRACE_S = 2.0
"""What sidecars have at least to end, where the apps before them took the whole grace."""

"""Probes of an app, as engine and supervisor write of them.

In the launch plan an app with probes has ``probes``: for ``startup``, ``liveness`` and ``readiness``, those
it has, an object:

- ``kind``: ``exec`` (with ``argv``), ``tcp``, ``http`` or ``grpc``; the last three with ``address`` (an IP
  address in the pod's network) and ``port``
- of ``http``: ``scheme`` (``http`` or ``https``), ``path``, ``headers`` (pairs); of ``grpc``: ``service``,
  and ``libraries``, the directories that h2 and what it needs are in
- ``delay_s``, ``period_s``, ``timeout_s``, ``successes``, ``failures``, and perhaps ``grace_s``

``carob/apps/<app>/probes.json``, version 1, is there once the first probe of an app has told something:

- ``app``, ``started_ns`` (of the run that it is about), ``ready`` and ``started`` (whether start-up is over)
- ``probes``: for each its ``passing`` (by its thresholds; null until that is known), ``ok`` (the last result)
  and ``reason`` (why the last one that failed did; ``""`` where none has)
- ``changes``: the last ones, oldest first, each with ``time_ns``, ``event`` (one of ``EVENTS``), and
  ``probe`` and ``reason`` where a probe failed

Init writes it anew when any of that changes, so never while all stays as it is.
"""

from __future__ import annotations

STARTUP = "startup"
LIVENESS = "liveness"
READINESS = "readiness"
ROLES = (STARTUP, LIVENESS, READINESS)

EXEC = "exec"
TCP = "tcp"
HTTP = "http"
GRPC = "grpc"
HTTPS = "https"

READY = "app-ready"
UNREADY = "app-unready"
FAILED = "probe-failed"
EVENTS = (READY, UNREADY, FAILED)

NOTE_VERSION = 1
MOST_CHANGES = 16
LONGEST_REASON = 256


def note(app: str) -> str:
    """What the probes of an app say; not there for one without."""
    return f"carob/apps/{app}/probes.json"

from __future__ import annotations

from tests.unit.image.trust.gpg import gpg as gpg  # noqa: PLC0414 - a fixture, by its name

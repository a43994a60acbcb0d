"""Documents that the tests of appc start from."""

from __future__ import annotations

import json
from typing import Any

from carob.spec.appc import PodManifest


def pod(**fields: Any) -> bytes:
    """A pod manifest with these fields over the least that a valid one has."""
    return json.dumps({"acVersion": "0.8.11", "acKind": "PodManifest", **fields}).encode()


def pod_with(text: str) -> bytes:
    """A pod manifest whose members, behind the head, are spelled as in ``text``."""
    return ('{"acVersion":"0.8.11","acKind":"PodManifest",' + text + "}").encode()


def read_app(text: str) -> PodManifest:
    """A pod manifest with one app, ``text`` being the members of its ``app`` object."""
    return PodManifest.from_json(
        pod_with('"apps":[{"name":"a","image":{"id":"sha512-1"},"app":{' + text + "}}]")
    )

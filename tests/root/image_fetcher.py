"""Fetches one image in a process of its own, so that it can be killed and measured.

``python -m tests.root.image_fetcher DATA ADDRESS REGISTRY [CA USER PASSWORD]``; prints the image id and the
largest resident set in MiB.
"""

from __future__ import annotations

import sys
from pathlib import Path

from carob.image import ResolvedImage, Store, Trees
from carob.image.cancel import Cancellation
from carob.image.fetch.progress import Callback
from carob.image.fetch.pull import FetchOptions, PullPolicy, pull
from carob.image.registry.configuration import Configuration, Rule
from carob.image.registry.credentials import Credentials
from carob.image.registry.source import RegistrySource
from carob.image.sources.open import Remotes
from carob.spec.address import parse_address


def remotes(host: str, ca: str = "", user: str = "", password: str = "") -> Remotes:
    """A way to one registry: by plain HTTP unless there is a CA."""
    configuration = Configuration(rules={host: Rule(prefix=host, insecure=not ca, ca=ca)})
    credentials = Credentials(user, password) if user else None
    return Remotes(
        registry=lambda reference: RegistrySource(reference, configuration, credentials=credentials)
    )


def fetch(
    data: str,
    address: str,
    *elsewhere: str,
    progress: Callback | None = None,
    cancel: Cancellation | None = None,
) -> ResolvedImage:
    """Fetches and unpacks."""
    return pull(
        Store(data),
        Trees(data),
        parse_address(address),
        policy=PullPolicy.ALWAYS,
        options=FetchOptions(
            remotes=remotes(*elsewhere) if elsewhere else None, progress=progress, cancel=cancel
        ),
    )


def peak_mb() -> int:
    """The largest resident set of this program alone: getrusage(2) counts what it was forked from as well."""
    (line,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")
    ]
    return int(line.split()[1]) >> 10


if __name__ == "__main__":
    print(fetch(*sys.argv[1:]).image_id, peak_mb())

"""What does not go together with a pod without isolation is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from carob.engine.request.bare import loosened
from carob.engine.request.pod import App, PodRequest
from carob.engine.request.security import Security
from carob.errors import InvalidInput

APP = App("i", ["true"])


def test_all_is_the_hosts() -> None:
    for given in (
        {},
        {"network": "host"},
        {"network": ["host"]},
        {"pid": "host", "ipc": "host", "uts": "host"},
    ):
        made = PodRequest([APP], isolation="none", **given)
        assert (made.network, made.network_kind, made.pid, made.ipc, made.uts) == ("host",) * 5


@pytest.mark.parametrize(
    ("apps", "given", "words"),
    [
        ([APP, APP], {}, "one app, not 2"),
        ([App("i", security=Security(devices=["/dev/fuse"]))], {}, "the host's /dev"),
        ([APP], {"network": "none"}, "the host's network, not 'none'"),
        ([APP], {"network": ["default", "host"]}, "the host's network"),
        ([APP], {"ports": ["80:80"]}, "ports cannot be published"),
        ([APP], {"pid": "pod"}, "pid=host, not 'pod'"),
        ([APP], {"ipc": "private"}, "ipc=host, not 'private'"),
        ([APP], {"hostname": "other"}, "the host's name cannot be given another"),
        ([APP], {"sysctls": {"net.core.somaxconn": "9"}}, "net"),
    ],
)
def test_what_contradicts_is_refused(apps: list[App], given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        PodRequest(apps, isolation="none", **given)


def test_another_word_is_none() -> None:
    with pytest.raises(InvalidInput, match="isolation is not 'fly'"):
        PodRequest([APP], isolation="fly")  # type: ignore[arg-type]


def test_what_was_said_goes_over_what_is_loosened() -> None:
    assert loosened(None).given() == {"privileged": True}
    made = loosened(Security(seccomp="default", cap_drop=["KILL"]))
    assert made.given() == {"privileged": True, "seccomp": "default", "cap_drop": ("CAP_KILL",)}

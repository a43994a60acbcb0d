"""What may be said of an app's life, and that the manifest tells it again."""

from __future__ import annotations

from typing import Any

import pytest

from carob import App
from carob.engine.request.life import NOTED, Life, from_annotations
from carob.engine.request.pod import PodRequest
from carob.errors import InvalidInput

SAID: list[dict[str, Any]] = [
    {},
    {"role": "init", "restart": "on-failure:7", "stop_signal": "SIGRTMIN+3", "stop_timeout_s": 2.5},
    {"role": "sidecar", "restart": "always", "stop_signal": 10, "stop_timeout_s": 0},
    {"restart": "unless-stopped", "stdin": "stream", "stdout": "null", "stderr": "stream"},
    {"restart": "no", "stdin": "tty"},
    {"stdout": "tty"},
]


@pytest.mark.parametrize("said", SAID)
def test_the_manifest_tells_all_of_it(said: dict[str, Any]) -> None:
    life = Life(**said)
    noted = life.annotations()
    assert set(noted) <= set(NOTED)
    assert Life(**from_annotations(noted)).planned() == life.planned()


def test_what_is_not_asked_for_is_not_in_the_plan() -> None:
    assert Life().planned() == {}
    assert Life().annotations() == {}


def test_the_plan_has_numbers() -> None:
    assert Life(**SAID[1]).planned() == {
        "role": "init",
        "restart": {"when": "on-failure", "most": 7},
        "stop_signal": 37,
        "grace_s": 2.5,
    }
    assert Life(stdin="tty").planned() == {"streams": {"stdin": "tty", "stdout": "tty", "stderr": "tty"}}


@pytest.mark.parametrize(
    "said",
    [
        {"role": "main "},
        {"role": None},
        {"restart": "on-failure:"},
        {"restart": "on-failure:-1"},
        {"restart": "on-failure:²"},
        {"restart": "on-failure:99999999999999999999"},
        {"restart": "always:3"},
        {"restart": 3},
        {"stop_signal": 65},
        {"stop_signal": "SIGNOTHING"},
        {"stop_signal": True},
        {"stop_timeout_s": -1},
        {"stop_timeout_s": "3"},
        {"stdin": "log"},
        {"stdout": "stdout"},
        {"stdin": "tty", "stdout": "null"},
    ],
)
def test_what_cannot_be(said: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        App("busybox", **said)


def test_annotations_of_others_are_checked_too() -> None:
    for noted in ({"carob/stop-timeout": "soon"}, {"carob/stop-timeout": "nan"}, {"carob/restart": "x"}):
        with pytest.raises(InvalidInput):
            Life(**from_annotations(noted))


def test_a_pod_has_a_main_app() -> None:
    with pytest.raises(InvalidInput, match="main app"):
        PodRequest([App("busybox", role="init"), App("busybox", role="sidecar")])

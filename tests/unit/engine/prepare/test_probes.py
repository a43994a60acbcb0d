"""From probes to the launch plan: defaults, ports that images name, and what images check themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from carob import App, Probe
from carob.engine.prepare.pod import Ingredient
from carob.engine.prepare.probes import planned
from carob.errors import InvalidInput

SECOND = 1_000_000_000


def plan(probes: dict[str, Probe], config: dict[str, Any] | None = None) -> dict[str, Any]:
    image: Any = SimpleNamespace(config={"config": config or {}})
    tree: Any = None
    return planned("/nowhere", Ingredient("x", App("image", **probes), image, tree))  # type: ignore[arg-type]


def test_what_is_not_said_is_as_in_kubernetes() -> None:
    assert plan({"liveness": Probe(tcp=80), "startup": Probe(exec=["a"], failures=30, period_s=2)}) == {
        "startup": {
            "kind": "exec", "argv": ["a"],
            "delay_s": 0.0, "period_s": 2.0, "timeout_s": 1.0, "successes": 1, "failures": 30,
        },
        "liveness": {
            "kind": "tcp", "address": "127.0.0.1", "port": 80,
            "delay_s": 0.0, "period_s": 10.0, "timeout_s": 1.0, "successes": 1, "failures": 3,
        },
    }  # fmt: skip


def test_a_port_has_the_number_that_the_image_gives_it() -> None:
    exposed = {"ExposedPorts": {"8443/tcp": {}}}
    found = plan({"readiness": Probe(http="8443-tcp", scheme="https")}, exposed)["readiness"]
    assert (found["port"], found["path"], found["headers"]) == (8443, "/", [])
    with pytest.raises(InvalidInput, match="names no port 'web'") as caught:
        plan({"readiness": Probe(http="web")}, exposed)
    assert caught.value.hint == "it names 8443-tcp"


def test_a_healthcheck_is_taken_over_with_its_numbers() -> None:
    check = {
        "Test": ["CMD-SHELL", "curl -f x"], "Interval": 5 * SECOND, "Timeout": SECOND // 2,
        "StartPeriod": 60 * SECOND, "Retries": 2,
    }  # fmt: skip
    found = plan(
        {"readiness": Probe(image=True), "liveness": Probe(image=True, failures=9)}, {"Healthcheck": check}
    )
    numbers = {"period_s": 5.0, "timeout_s": 0.5, "successes": 1}
    wanted = {"kind": "exec", "argv": ["/bin/sh", "-c", "curl -f x"], **numbers}
    assert found["readiness"] == {**wanted, "delay_s": 0.0, "failures": 2}
    assert found["liveness"] == {**wanted, "delay_s": 60.0, "failures": 9}
    found = plan({"readiness": Probe(image=True)}, {"Healthcheck": {"Test": ["CMD", "check", "it"]}})
    assert found["readiness"] == {
        "kind": "exec", "argv": ["check", "it"], "delay_s": 0.0, "period_s": 30.0, "timeout_s": 30.0,
        "successes": 1, "failures": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "check",
    [
        None, 3, [], {}, {"Test": []}, {"Test": ["NONE"]}, {"Test": ["CMD"]}, {"Test": ["CMD", ""]},
        {"Test": ["CMD-SHELL"]}, {"Test": "true"}, {"Test": ["CMD", 3]},
    ],
)  # fmt: skip
def test_an_image_without_one_is_told_of(check: object) -> None:
    with pytest.raises(InvalidInput, match="has no HEALTHCHECK for its liveness probe"):
        plan({"liveness": Probe(image=True)}, {"Healthcheck": check})


def test_odd_numbers_of_an_image_count_for_nothing() -> None:
    check = {"Test": ["CMD", "x"], "Interval": -5, "Timeout": "1s", "Retries": 1.5, "StartPeriod": 1}
    found = plan({"liveness": Probe(image=True)}, {"Healthcheck": check})["liveness"]
    assert (found["period_s"], found["timeout_s"], found["failures"], found["delay_s"]) == (
        30.0,
        30.0,
        3,
        0.1,
    )


def test_grpc_says_where_its_library_is() -> None:
    found = plan({"liveness": Probe(grpc=50051, service="a.B")})["liveness"]
    assert found["service"] == "a.B"
    assert found["libraries"]

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob import App, Probe
from carob.engine.request.life import PROBES, from_annotations
from carob.errors import InvalidInput

PORTS = st.one_of(st.integers(1, 65535), st.sampled_from(["http", "80-tcp"]))
NUMBERS = st.fixed_dictionaries(
    {},
    optional={
        "delay_s": st.floats(0, 100),
        "period_s": st.floats(0.1, 100),
        "timeout_s": st.floats(0.1, 100),
        "failures": st.integers(1, 100),
    },
)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
WAYS: Any = st.one_of(
    st.fixed_dictionaries({"exec": st.lists(WORDS, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"tcp": PORTS}, optional={"address": st.sampled_from(["::1", "10.0.0.1"])}),
    st.fixed_dictionaries({"grpc": PORTS}, optional={"service": WORDS}),
    st.fixed_dictionaries(
        {"http": PORTS},
        optional={
            "path": st.sampled_from(["/", "/x?y", "z"]),
            "scheme": st.sampled_from(["http", "https"]),
            "headers": st.just([("X-A", "b c")]),
        },
    ),
    st.just({"image": True}),
)


@given(WAYS, NUMBERS)
def test_a_probe_is_told_in_a_manifest_and_made_again(way: dict[str, Any], numbers: dict[str, Any]) -> None:
    probe = Probe(**way, **numbers)
    app = App("busybox", liveness=probe, readiness=probe)
    again = App("busybox", **from_annotations(app.life.annotations()))
    assert again.life.probes == app.life.probes == {"liveness": probe, "readiness": probe}
    assert {name: probe.plan[name] for name in numbers} == numbers
    assert eval(repr(probe), {"Probe": Probe}) == probe
    assert pickle.loads(pickle.dumps(probe)) == probe
    assert hash(pickle.loads(pickle.dumps(probe))) == hash(probe)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"http": 80, "tcp": 80},
        {"http": 80, "image": True},
        {"http": 0},
        {"http": 65536},
        {"http": True},
        {"http": ""},
        {"tcp": "999999"},
        {"exec": "cat /tmp/ok"},
        {"exec": []},
        {"exec": [""]},
        {"exec": ["a\0b"]},
        {"exec": ["x"], "path": "/"},
        {"tcp": 80, "path": "/x"},
        {"grpc": 80, "scheme": "https"},
        {"http": 80, "service": "x"},
        {"exec": ["x"], "address": "::1"},
        {"http": 80, "path": "/a b"},
        {"http": 80, "path": "/ä"},
        {"http": 80, "path": "/x\r\nHost: y"},
        {"http": 80, "scheme": "ftp"},
        {"http": 80, "headers": [("A", "b\r\nC: d")]},
        {"http": 80, "headers": [("A b", "c")]},
        {"http": 80, "headers": {"": "c"}},
        {"http": 80, "headers": ["ab"]},
        {"http": 80, "headers": 3},
        {"http": 80, "headers": [("A", "x" * 10_000)]},
        {"http": 80, "address": "example.org"},
        {"http": 80, "address": "fe80::1%eth0"},
        {"tcp": 80, "period_s": 0},
        {"tcp": 80, "period_s": float("nan")},
        {"tcp": 80, "timeout_s": 1e9},
        {"tcp": 80, "delay_s": -1},
        {"tcp": 80, "failures": 0},
        {"tcp": 80, "successes": 1.5},
        {"tcp": 80, "grace_s": "1"},
    ],
)  # fmt: skip
def test_what_can_be_no_probe_is_refused(wrong: dict[str, Any]) -> None:
    if wrong.get("path") == "/":
        wrong = {**wrong, "service": "x"}
    with pytest.raises(InvalidInput):
        Probe(**wrong)


def test_a_probe_is_what_it_is() -> None:
    probe = Probe(http="8080", address="localhost")
    assert probe == Probe(http=8080)
    with pytest.raises(AttributeError):
        probe.plan = {}
    with pytest.raises(InvalidInput, match="one success"):
        App("x", liveness=Probe(tcp=1, successes=2))
    with pytest.raises(InvalidInput, match="grace_s"):
        App("x", readiness=Probe(tcp=1, grace_s=1))
    with pytest.raises(InvalidInput, match="made with Probe"):
        App("x", readiness={"tcp": 1})  # type: ignore[typeddict-item]
    with pytest.raises(InvalidInput, match="init app"):
        App("x", role="init", readiness=Probe(tcp=1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        '{"readiness": 3}',
        '{"other": {"tcp": 1}}',
        '{"readiness": {"tcp": 1, "colour": "red"}}',
        '{"readiness": {"tcp": 99999}}',
    ],
)
def test_a_manifest_s_probes_are_checked(text: str) -> None:
    with pytest.raises(InvalidInput):
        from_annotations({PROBES: text})

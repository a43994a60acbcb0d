"""Isolators: known ones are typed and checked, others are handed on."""

from __future__ import annotations

import pytest

from carob.spec.appc import (
    App,
    CapabilitySet,
    FieldError,
    Isolator,
    PodManifest,
    Resource,
    SeccompSet,
    SELinuxContext,
)
from tests.unit.spec.appc.documents import pod_with


def read(name: str, value: str) -> Isolator:
    manifest = PodManifest.from_json(pod_with(f'"isolators":[{{"name":"{name}","value":{value}}}]'))
    return manifest.isolators[0]


@pytest.mark.parametrize(
    ("name", "value", "typed"),
    [
        ("resource/cpu", '{"request":"250m","LIMIT":1.5e3}', Resource(request="250m", limit="1.5e3")),
        ("resource/memory", '{"limit":" 1Gi ","default":null}', Resource(limit="1Gi")),
        ("resource/block-iops", '{"default":true,"limit":"5"}', Resource(default=True, limit=5)),
        ("os/linux/capabilities-retain-set", '{"set":["CAP_KILL"]}', CapabilitySet(["CAP_KILL"])),
        ("os/linux/capabilities-remove-set", '{"set":[null]}', CapabilitySet([""])),
        ("os/linux/seccomp-retain-set", '{"set":["a"],"errno":"E\u00c91"}', SeccompSet(["a"], "E\u00c91")),
        (
            "os/linux/selinux-context",
            '{"user":"u","role":"r","type":"t","level":"a:b"}',
            SELinuxContext("u", "r", "t", "a:b"),
        ),
        ("os/linux/no-new-privileges", "true", True),
        ("os/linux/oom-score-adj", "-1000", -1000),
        ("os/linux/cpu-shares", "262144", 262144),
        ("os/unix/sysctl", '{"a":"1","b":null}', {"a": "1", "b": ""}),
    ],
)
def test_known_values(name: str, value: str, typed: object) -> None:
    isolator = read(name, value)
    assert isolator.is_known
    assert isolator.value == typed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resource/cpu", '{"default":true}'),
        ("resource/cpu", '{"limit":"x"}'),
        ("resource/cpu", '{"limit":"1\\n"}'),
        ("resource/cpu", '{"limit":{}}'),
        ("resource/cpu", "1"),
        ("resource/block-bandwidth", '{"limit":"1"}'),
        ("resource/network-bandwidth", '{"default":true,"request":"1"}'),
        ("os/linux/capabilities-retain-set", '{"set":[]}'),
        ("os/linux/capabilities-retain-set", "{}"),
        ("os/linux/seccomp-remove-set", '{"set":["a"],"errno":"PERM"}'),
        ("os/linux/seccomp-remove-set", '{"set":["a"],"errno":"Eperm"}'),
        ("os/linux/seccomp-remove-set", '{"set":["a"],"errno":"E\u00e9"}'),
        ("os/linux/selinux-context", '{"user":"u:v","role":"r","type":"t","level":"l"}'),
        ("os/linux/selinux-context", '{"user":"u","role":"r","type":"t"}'),
        ("os/linux/no-new-privileges", '"true"'),
        ("os/linux/oom-score-adj", "1001"),
        ("os/linux/oom-score-adj", "1.0"),
        ("os/linux/cpu-shares", "1"),
        ("os/unix/sysctl", '{"a":1}'),
    ],
)
def test_known_values_that_are_refused(name: str, value: str) -> None:
    with pytest.raises(FieldError) as caught:
        read(name, value)
    assert caught.value.path.startswith("isolators[0].value")


def test_what_is_not_known_is_kept_as_it_was_spelled() -> None:
    raw = pod_with('"isolators":[{"name":"x","value":{"a":1.50,"a":[1E3]}},{"name":"y"}]')
    manifest = PodManifest.from_json(raw)
    assert b'[{"name":"x","value":{"a":1.50,"a":[1E3]}},{"name":"y","value":null}]' in manifest.to_json()
    assert manifest.isolators[0].plain == {"a": [1000.0]}
    assert manifest.isolators.unrecognized == manifest.isolators


def test_known_values_are_written_as_they_were_spelled() -> None:
    isolator = read("resource/cpu", '{"limit":"1024m","x":1.0,"request":null}')
    assert isolator.to_json() == b'{"name":"resource/cpu","value":{"limit":"1024m","x":1.0,"request":null}}'


@pytest.mark.parametrize(
    "names",
    [
        ["os/linux/cpu-shares", "os/linux/cpu-shares"],
        ["os/linux/seccomp-retain-set", "os/linux/seccomp-remove-set"],
        ["x/unknown"],
    ],
)
def test_sets_that_an_app_may_not_have(names: list[str]) -> None:
    values = {"os/linux/cpu-shares": 5}
    isolators = [Isolator(name, values.get(name, {"set": ["a"]})) for name in names]
    assert len(PodManifest(isolators=isolators).isolators) == len(names)
    with pytest.raises(FieldError, match="isolators"):
        App(isolators=isolators)


def test_some_may_stand_more_than_once() -> None:
    twice = [Isolator("resource/memory", Resource(limit=limit)) for limit in ("1Gi", "2Gi")]
    last = App(isolators=twice).isolators.get("resource/memory")
    assert last is not None
    assert isinstance(last.value, Resource)
    assert last.value.limit == "2Gi"


def test_made_and_changed_by_hand() -> None:
    memory = Isolator("resource/memory", Resource(limit=5))
    assert memory == Isolator("resource/memory", {"default": False, "request": None, "limit": "5"})
    assert memory.replace(value=Resource(limit="6")).plain == {
        "default": False,
        "request": None,
        "limit": "6",
    }
    isolators = App(isolators=[memory]).isolators.replacing(
        Isolator("resource/cpu", Resource()), ["resource/memory"]
    )
    assert [isolator.name for isolator in isolators] == ["resource/cpu"]
    with pytest.raises(FieldError, match="value"):
        Isolator("resource/memory", Resource(default=True))
    with pytest.raises(FieldError, match="value"):
        Isolator("os/linux/cpu-shares", 1)

from __future__ import annotations

import pytest

from carob.service.v1alpha import api_pb2 as api
from carob.service.v1alpha.filters import base_name, event_satisfies, image_satisfies, pod_satisfies


def pairs(**given: str) -> list[api.KeyValue]:
    return [api.KeyValue(Key=key, value=value) for key, value in given.items()]


POD = api.Pod(
    id="one",
    state=api.POD_STATE_RUNNING,
    apps=[api.App(name="a", image=api.Image(id="i")), api.App(name="b", image=api.Image(id="j"))],
    networks=[api.Network(name="net")],
    annotations=[*pairs(team="blue", empty=""), *pairs(team="red")],
    cgroup="/carob/one",
)


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (api.PodFilter(), True),
        (api.PodFilter(ids=["two", "one"]), True),
        (api.PodFilter(ids=["on"]), False),
        (api.PodFilter(states=[api.POD_STATE_EXITED, api.POD_STATE_RUNNING]), True),
        (api.PodFilter(states=[api.POD_STATE_EXITED]), False),
        (api.PodFilter(states=[99]), False),  # type: ignore[list-item] # of a later version
        (api.PodFilter(app_names=["b", "a"]), True),
        (api.PodFilter(app_names=["a", "c"]), False),
        (api.PodFilter(image_ids=["j"]), True),
        (api.PodFilter(image_ids=["j", "k"]), False),
        (api.PodFilter(network_names=["net"]), True),
        (api.PodFilter(network_names=["net", "other"]), False),
        (api.PodFilter(annotations=pairs(team="blue")), True),
        (api.PodFilter(annotations=pairs(team="red")), False),  # the first value of a key counts
        (api.PodFilter(annotations=pairs(empty="")), True),
        (api.PodFilter(annotations=pairs(missing="")), False),
        (api.PodFilter(cgroups=["/carob/one"]), True),
        (api.PodFilter(cgroups=["/carob"]), False),
        (api.PodFilter(pod_sub_cgroups=["/x", "/carob/one/app"]), True),
        (api.PodFilter(pod_sub_cgroups=["/carob/one1"]), True),  # letters, not parts
        (api.PodFilter(pod_sub_cgroups=["/carob"]), False),
        (api.PodFilter(ids=["one"], states=[api.POD_STATE_EXITED]), False),
    ],
)
def test_a_pod_filter(wanted: api.PodFilter, holds: bool) -> None:
    assert pod_satisfies(POD, [wanted]) is holds


def test_a_pod_without_cgroup_is_above_none() -> None:
    assert not pod_satisfies(api.Pod(id="one"), [api.PodFilter(pod_sub_cgroups=["/anything"])])


def test_one_filter_of_several_is_enough_and_none_asks_for_nothing() -> None:
    assert pod_satisfies(POD, [api.PodFilter(ids=["two"]), api.PodFilter(ids=["one"])])
    assert not pod_satisfies(POD, [api.PodFilter(ids=["two"]), api.PodFilter(ids=["three"])])
    assert pod_satisfies(POD, [])


IMAGE = api.Image(
    id="sha512-1",
    name="example.org/team/etcd",
    import_timestamp=100,
    labels=pairs(version="1"),
    annotations=pairs(by="x"),
)


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (api.ImageFilter(), True),
        (api.ImageFilter(ids=["sha512-1"]), True),
        (api.ImageFilter(ids=["sha512"]), False),
        (api.ImageFilter(full_names=["example.org/team/etcd"]), True),
        (api.ImageFilter(full_names=["etcd"]), False),
        (api.ImageFilter(prefixes=["other", "example.org/t"]), True),
        (api.ImageFilter(prefixes=["team"]), False),
        (api.ImageFilter(base_names=["etcd"]), True),
        (api.ImageFilter(base_names=["etc", "team/etcd"]), False),
        (api.ImageFilter(keywords=["eam/e"]), True),
        (api.ImageFilter(keywords=["ETCD"]), False),
        (api.ImageFilter(imported_after=99), True),
        (api.ImageFilter(imported_after=100), False),
        (api.ImageFilter(imported_after=-5), True),
        (api.ImageFilter(imported_before=101), True),
        (api.ImageFilter(imported_before=100), False),
        (api.ImageFilter(labels=pairs(version="1")), True),
        (api.ImageFilter(labels=pairs(version="2")), False),
        (api.ImageFilter(annotations=pairs(by="x")), True),
        (api.ImageFilter(annotations=pairs(by="x", of="y")), False),
    ],
)
def test_an_image_filter(wanted: api.ImageFilter, holds: bool) -> None:
    assert image_satisfies(IMAGE, [wanted]) is holds


@pytest.mark.parametrize(
    ("name", "base"),
    [("", "."), ("/", "/"), ("//", "/"), ("a", "a"), ("a/b/", "b"), ("a/b//", "b"), ("/a", "a")],
)
def test_a_base_name_is_gos(name: str, base: str) -> None:
    assert base_name(name) == base


def test_an_event_filter() -> None:
    event = api.Event(type=api.EVENT_TYPE_APP_EXITED, id="one", **{"from": "app"})
    assert event_satisfies(event, api.EventFilter())
    assert event_satisfies(
        event, api.EventFilter(types=[api.EVENT_TYPE_APP_EXITED], ids=["one"], names=["app"])
    )
    assert not event_satisfies(event, api.EventFilter(types=[api.EVENT_TYPE_APP_STARTED]))
    assert not event_satisfies(event, api.EventFilter(ids=["two"]))
    assert not event_satisfies(event, api.EventFilter(names=["other"]))

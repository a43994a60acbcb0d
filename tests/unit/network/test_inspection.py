from __future__ import annotations

import pytest

from carob.errors import CommandFailed, Unavailable
from carob.network.attach import attach
from carob.network.attachment import Attachment, Plan
from carob.network.collect import garbage_collect
from carob.network.detach import detach
from carob.network.inspection import check, status
from carob.network.record import make_record
from carob.spec.cni.configuration import parse_network
from tests.unit.network.made_plugins import GOOD_RESULT, Workshop

NAMESPACE = "/proc/1/ns/net"


def plan(workshop: Workshop, *kinds: str, version: str = "1.1.0", **flags: bool) -> None:
    plugins = tuple({"type": kind} for kind in kinds)
    attachment = Attachment("net", "eth0", version=version, plugins=plugins, **flags)
    with make_record(workshop.pod) as record:
        record.write_plan(Plan(workshop.uuid, (attachment,), workshop.places.plugins))


def go(workshop: Workshop) -> None:
    attach(workshop.pod, workshop.places, namespace=NAMESPACE, data_dir="/d").ports.close()
    workshop.calls()


def test_check_asks_every_plugin_in_order_with_the_final_result(workshop: Workshop) -> None:
    plan(workshop, workshop.plugin("first"), workshop.plugin("second"))
    go(workshop)
    assert check(workshop.pod, workshop.places, namespace=NAMESPACE) == {}
    assert workshop.calls() == ["CHECK first eth0", "CHECK second eth0"]
    assert workshop.asked("CHECK", "first")["prevResult"] == {**GOOD_RESULT, "cniVersion": "1.1.0"}
    assert workshop.environment("CHECK", "first")["CNI_NETNS"] == NAMESPACE


def test_check_tells_what_is_wrong(workshop: Workshop) -> None:
    plan(workshop, workshop.plugin("first", """CHECK) echo '{"code": 100, "msg": "gone"}'; exit 1 ;;"""))
    go(workshop)
    found = check(workshop.pod, workshop.places, namespace=NAMESPACE)
    assert isinstance(found["eth0"], CommandFailed)
    assert "plugin first (CHECK): gone" in found["eth0"].message


def test_check_asks_nobody_where_it_may_not(workshop: Workshop) -> None:
    workshop.plugin("first")
    assert check(workshop.pod, workshop.places, namespace=NAMESPACE) == {}
    for version, disabled in (("0.3.1", False), ("1.0.0", True)):
        plan(workshop, "first", version=version, disable_check=disabled)
        go(workshop)
        assert check(workshop.pod, workshop.places, namespace=NAMESPACE) == {}
        assert workshop.calls() == []
        detach(workshop.pod, workshop.places)


def test_portmaps_complaint_about_ipv6_is_passed_over_where_there_is_none(workshop: Workshop) -> None:
    mapping = {"hostPort": 0, "containerPort": 80, "protocol": "tcp"}
    workshop.plugin("portmap", """CHECK) echo '{"msg": "could not check ipv6 dnat: no chain"}'; exit 1 ;;""")
    attachment = Attachment(
        "net",
        "eth0",
        version="1.0.0",
        plugins=({"type": "portmap"},),
        capabilities={"portMappings": [mapping]},
    )
    with make_record(workshop.pod) as record:
        record.write_plan(Plan(workshop.uuid, (attachment,), workshop.places.plugins))
    go(workshop)
    assert check(workshop.pod, workshop.places, namespace=NAMESPACE) == {}
    workshop.plugin("portmap", """CHECK) echo '{"msg": "could not check ipv4 dnat: no chain"}'; exit 1 ;;""")
    assert list(check(workshop.pod, workshop.places, namespace=NAMESPACE)) == ["eth0"]


def test_status_is_asked_from_1_1_on(workshop: Workshop) -> None:
    workshop.plugin("first", """STATUS) echo '{"code": 50, "msg": "not yet"}'; exit 1 ;;""")
    for version, fails in (("1.0.0", False), ("1.1.0", True)):
        network = parse_network({"cniVersion": version, "name": "n", "plugins": [{"type": "first"}]}, "x")
        if fails:
            with pytest.raises(Unavailable) as caught:
                status(network, workshop.places)
            assert "not yet" in caught.value.message
        else:
            status(network, workshop.places)
    assert workshop.calls() == ["STATUS first "]


def test_plugins_are_told_who_is_attached(workshop: Workshop) -> None:
    plan(workshop, workshop.plugin("first", "GC) exit 1 ;;"), workshop.plugin("second"))
    garbage_collect("net", workshop.places)
    assert workshop.calls() == [], "there is nobody to ask"
    go(workshop)
    with pytest.raises(CommandFailed):
        garbage_collect("net", workshop.places)
    assert workshop.calls() == ["GC first ", "GC second "]
    asked = workshop.asked("GC", "second", "")
    valid = [{"containerID": workshop.uuid, "ifname": "eth0"}]
    assert asked["cni.dev/valid-attachments"] == asked["cni.dev/attachments"] == valid
    assert "CNI_CONTAINERID" not in workshop.environment("GC", "second", "")
    assert detach(workshop.pod, workshop.places) == {}


def test_plugins_of_before_1_1_are_not_asked_to_collect_nor_those_that_must_not_be(
    workshop: Workshop,
) -> None:
    workshop.plugin("first")
    for version, forbidden in (("1.0.0", False), ("1.1.0", True)):
        plan(workshop, "first", version=version, disable_gc=forbidden)
        go(workshop)
        garbage_collect("net", workshop.places)
        assert workshop.calls() == []
        detach(workshop.pod, workshop.places)
        workshop.calls()

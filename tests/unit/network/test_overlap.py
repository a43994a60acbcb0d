from __future__ import annotations

from typing import Any

from carob.network.attachment import Attachment
from carob.network.overlap import may_overlap


def attachment(
    kind: str, *, routes: list[str] | None = None, ipam: str = "host-local", **more: Any
) -> Attachment:
    plugin = {"type": kind, "ipam": {"type": ipam, "routes": [{"dst": dst} for dst in routes or []]}, **more}
    return Attachment("n", "eth0", version="1.0.0", plugins=(plugin, {"type": "firewall"}))


def test_networks_of_plugins_that_do_not_mind_may_overlap() -> None:
    assert may_overlap((attachment("unknown"),))
    assert may_overlap(())
    assert may_overlap((attachment("bridge", routes=["0.0.0.0/0"]), attachment("ptp", routes=["10.0.0.0/8"])))


def test_others_may_not() -> None:
    assert not may_overlap((attachment("bridge"), attachment("sbr")))
    assert not may_overlap((attachment("bridge"), attachment("ptp", ipam="dhcp")))


def test_which_of_two_default_routes_counts_is_not_left_to_chance() -> None:
    one = attachment("bridge", routes=["0.0.0.0/0"])
    assert not may_overlap((one, attachment("ptp", routes=["::/0"])))
    assert not may_overlap((one, attachment("bridge", isDefaultGateway=True)))

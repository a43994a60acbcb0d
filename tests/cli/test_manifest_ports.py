"""Published ports are in a pod's manifest, and make the same pod again."""

from __future__ import annotations

import json

from tests.cli.conftest import Command


def test_published_ports_go_round_by_a_manifest(carob: Command) -> None:
    ports = ["--publish=127.0.0.1:18080:80", "--publish=53/udp"]
    uuid = carob.ok("prepare", *ports, "busybox", "--", "true").strip()
    first = json.loads(carob.ok("cat-manifest", uuid))
    assert [(one["hostPort"], one["podPort"]["port"], one.get("hostIP")) for one in first["ports"]] == [
        (18080, 80, "127.0.0.1"),
        (0, 53, None),
    ]
    again = carob.ok("prepare", "--pod-manifest=-", input=json.dumps(first)).strip()
    assert json.loads(carob.ok("cat-manifest", again))["ports"] == first["ports"]
    plan = json.loads(carob.ok("status", again, "--format=json"))
    assert plan["state"] == "prepared"

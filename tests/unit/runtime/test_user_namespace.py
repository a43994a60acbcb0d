from __future__ import annotations

from typing import Any

import pytest

from carob.runtime import bundle, user_namespace

RANGES = ((0, 100000, 65536),)
TRUE = bundle.Process(["true"], [], "/", 0, 0)


def made(**shares: bool) -> dict[str, Any]:
    config = bundle.config(TRUE, rootfs="/apps/a", cgroup="/g/a", namespaces=["mount", "user=/run/user"])
    before = {mount["destination"]: mount["type"] for mount in config["mounts"]}
    assert (before["/proc"], before["/sys"]) == ("proc", "sysfs")
    all_shares = {"shares_processes": False, "shares_network": False, **shares}
    user_namespace.take_on(config, RANGES, ((0, 7, 1),), **all_shares)
    return config


def test_the_namespace_is_joined_and_its_mappings_are_told() -> None:
    linux = made()["linux"]
    assert {"type": "user", "path": "/run/user"} in linux["namespaces"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 65536}]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 7, "size": 1}]


@pytest.mark.parametrize(("share", "place"), [("shares_processes", "/proc"), ("shares_network", "/sys")])
def test_what_is_not_the_pods_own_is_inits(share: str, place: str) -> None:
    config = made(**{share: True})
    kinds = {mount["destination"]: (mount["type"], mount["source"]) for mount in config["mounts"]}
    assert kinds[place] == ("bind", place)
    other = {"/proc": "/sys", "/sys": "/proc"}[place]
    assert kinds[other][0] != "bind"
    assert ("/sys/fs/cgroup" in config["linux"]["maskedPaths"]) == (place == "/sys")

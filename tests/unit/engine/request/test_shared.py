"""What the apps of a pod have in common: names of sysctls, namespaces, the group's place."""

from __future__ import annotations

from typing import Any

import pytest

from carob.engine.request import shared
from carob.errors import InvalidInput

POD = {"network": "none", "ipc": "pod", "uts": "pod"}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("net.core.somaxconn", "net/core/somaxconn"),
        ("net/core/somaxconn", "net/core/somaxconn"),
        ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("kernel.shm_rmid_forced", "kernel/shm_rmid_forced"),
        ("fs.mqueue.msg_max", "fs/mqueue/msg_max"),
        ("kernel.domainname", "kernel/domainname"),
    ],
)
def test_the_pods_own_sysctls(name: str, path: str) -> None:
    assert shared.sysctls({name: "1"}, **POD) == {path: "1"}


@pytest.mark.parametrize(
    ("name", "value", "options"),
    [
        ("kernel.panic", "1", {}),
        ("vm.swappiness", "1", {}),
        ("fs.file-max", "1", {}),
        ("kernel.hostname", "1", {}),
        ("net/../kernel/panic", "1", {}),
        ("net..core", "1", {}),
        ("net.core.somaxconn", "", {}),
        ("net.core.somaxconn", "1\n2", {}),
        ("net.core.somaxconn", "1", {"network": "host"}),
        ("kernel.msgmax", "1", {"ipc": "host"}),
        ("kernel.msgmax", "1", {"ipc": "private"}),
        ("kernel.domainname", "1", {"uts": "host"}),
    ],
)
def test_sysctls_of_others_are_refused(name: str, value: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        shared.sysctls({name: value}, **{**POD, **options})


@pytest.mark.parametrize(("given", "group"), [("", ""), ("/", ""), ("/a", "/a"), ("/a/b/", "/a/b")])
def test_the_place_of_the_group(given: str, group: str) -> None:
    assert shared.cgroup_parent(given) == group


@pytest.mark.parametrize("given", ["a", "//a", "/a//b", "/a/../b", "/a/.", 7])
def test_what_is_no_group(given: Any) -> None:
    with pytest.raises(InvalidInput):
        shared.cgroup_parent(given)


def test_words_for_namespaces() -> None:
    assert shared.namespaces("pod", "private", "host") == ("pod", "private", "host")
    assert shared.namespaces("host", "pod", "pod") == ("host", "pod", "pod")
    with pytest.raises(InvalidInput, match="uts is not 'private'"):
        shared.namespaces("private", "pod", "private")

"""net-info.json; each line was checked against rkt's own package."""

from __future__ import annotations

import json
import os
from ipaddress import ip_address

import pytest

from carob.errors import CorruptData
from carob.pod import NetInfo, netinfo, open_pod
from carob.pod.state import Directory
from tests.unit.pod.made import UUID, locked, make

TEXT = (
    b'[{"netName":"default","netConf":"/etc/c.conf","pluginPath":"/b/bridge","ifName":"eth0",'
    b'"ip":"172.16.28.2","args":"a=b","mask":"255.255.255.0"}]\n'
)
INFO = NetInfo(
    "default",
    "/etc/c.conf",
    "/b/bridge",
    "eth0",
    ip_address("172.16.28.2"),
    "a=b",
    ip_address("255.255.255.0"),
)


def test_reading_and_writing_rkts_format() -> None:
    assert netinfo.parse(TEXT) == (INFO,)
    assert netinfo.render((INFO,)) == TEXT
    assert netinfo.parse(netinfo.render((INFO, NetInfo("second")))) == (INFO, NetInfo("second"))


@pytest.mark.parametrize(
    ("text", "infos"),
    [
        ("null", ()),
        (" \n[]", ()),
        ("nullx", ()),
        ("[null, {}]", (NetInfo(), NetInfo())),
        ('[{"NETNAME":"a","IfName":"b"}]', (NetInfo("a", if_name="b"),)),
        ('[{"netName":"a","netname":"b"}]', (NetInfo("b"),)),
        ('[{"netName":"a","NETNAME":null}]', (NetInfo("a"),)),
        ('[{"ma\u017f\u212a":"255.0.0.0"}]', (NetInfo(mask=ip_address("255.0.0.0")),)),
        ('[{"unknown":{"x":[1]}}] and more', (NetInfo(),)),
        ('[{"ip":""}]', (NetInfo(),)),
        ('[{"ip":"::ffff:1.2.3.4"}]', (NetInfo(ip=ip_address("1.2.3.4")),)),
        ('[{"ip":"2001:DB8::A"}]', (NetInfo(ip=ip_address("2001:db8::a")),)),
        ('[{"ip":"1.1.1.1","Ip":""}]', (NetInfo(),)),
        ('[{"netName":"\\ud800x"}]', (NetInfo("\ufffdx"),)),
    ],
)
def test_gos_rules(text: str, infos: tuple[NetInfo, ...]) -> None:
    assert netinfo.parse(text.encode()) == infos


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "{}",
        '""',
        "3",
        "[1]",
        "[[]]",
        '[{"netName":5}]',
        '[{"netName":{}}]',
        '[{"ip":[1,2,3,4]}]',
        '[{"ip":"1.2.3"}]',
        '[{"ip":"01.2.3.4"}]',
        '[{"ip":"1.2.3.4 "}]',
        '[{"ip":"fe80::1%eth0"}]',
        '[{"netName":"a"}',
        '[{"netName":"a\tb"}]',
        "[NaN]",
        "[01]",
        "\ufeff[]",
        "[" * 100_000,
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(CorruptData):
        netinfo.parse(text.encode())


@pytest.mark.parametrize("is_locked", [False, True])
@pytest.mark.parametrize("directory", list(Directory))
def test_only_pods_that_run_or_ran_have_networks(
    data_dir: str, directory: Directory, is_locked: bool
) -> None:
    path = make(data_dir, directory, **{"net-info.json": TEXT})
    holder = locked(path) if is_locked else None
    if holder is not None:
        holder.__enter__()
    with open_pod(data_dir, UUID) as pod:
        expected = (INFO,) if directory in (Directory.RUN, Directory.EXITED_GARBAGE) else ()
        assert pod.nets == expected
    if holder is not None:
        holder.__exit__(None, None, None)


def test_networks_are_read_when_asked_for_and_again_when_the_state_changes(data_dir: str) -> None:
    path = make(data_dir, Directory.PREPARED, **{"net-info.json": b"not JSON"})
    with open_pod(data_dir, UUID) as pod:
        assert pod.nets == ()
        pod.to_run()
        with pytest.raises(CorruptData, match=r"net-info\.json"):
            _ = pod.nets
        netinfo.save((INFO,), pod.fd())
        assert pod.nets == (INFO,)
        assert os.stat(f"{pod.path()}/net-info.json").st_mode & 0o777 == 0o640
        assert json.loads(TEXT)[0]["ip"] == str(pod.nets[0].ip)
        os.unlink(f"{pod.path()}/net-info.json")
        assert pod.nets == (INFO,), "kept while the state is the same"
        pod.unlock()
        pod.refresh()
        assert pod.nets == (), "no file: the host's network"
    assert not os.path.exists(path)

"""Volumes, mount points and ports in one string, and their rules."""

from __future__ import annotations

import pytest

from carob.spec.appc import FieldError, MountPoint, Port, Volume


@pytest.mark.parametrize(
    ("text", "volume", "back"),
    [
        (
            "db,kind=host,source=/srv/a=b;c&d +%41,readOnly=1,recursive=F",
            Volume("db", "host", source="/srv/a=b;c&d +%41", read_only=True, recursive=False),
            "db,kind=host,source=/srv/a=b;c&d +%41,readOnly=true,recursive=false",
        ),
        ("e,kind=empty", Volume("e", "empty", mode="0755", uid=0, gid=0), "e,kind=empty"),
        (
            "e,kind=empty,mode=0700,uid=-1,gid=+02",
            Volume("e", "empty", mode="0700", uid=-1, gid=2),
            "e,kind=empty,mode=0700,uid=-1,gid=2",
        ),
        ("e,kin%64=empty", Volume("e", "empty"), "e,kind=empty"),
    ],
)
def test_volumes(text: str, volume: Volume, back: str) -> None:
    assert Volume.from_string(text) == volume
    assert str(volume) == back
    assert Volume.from_string(back) == volume


@pytest.mark.parametrize(
    "text",
    [
        "",
        "db",
        "db,kind=other",
        "db,kind",
        "A,kind=empty",
        "db,kind=host",
        "db,kind=host,source=a",
        "db,kind=host,source=/a,uid=1",
        "db,kind=empty,source=/a",
        "db,kind=empty,kind=empty",
        "db,name=x,kind=empty",
        "db,kind=empty,readOnly=yes",
        "db,kind=empty,uid=1_0",
        "db,kind=empty,uid=9223372036854775808",
        "db,kind=empty,size=5",
        "db,kind=empty,=x",
        "db,kin;d=empty",
        "db,kin%6=empty",
        "db,Kind=empty",
    ],
)
def test_volumes_that_are_refused(text: str) -> None:
    with pytest.raises(FieldError):
        Volume.from_string(text)


def test_mount_points() -> None:
    assert MountPoint.from_string("db,path=/a,readOnly=TRUE") == MountPoint("db", "/a", read_only=True)
    for text in ("db", "db,path=", "db,path=/a,kind=host", "db,path=/a,readOnly=2"):
        with pytest.raises(FieldError):
            MountPoint.from_string(text)


def test_ports() -> None:
    assert Port.from_string("q,protocol=udp,port=053,count=2,socketActivated=t") == Port(
        "q", 53, protocol="udp", count=2, socket_activated=True
    )
    assert Port.from_string("q,port=1") == Port("q", 1, protocol="", count=1)
    for text in ("q", "q,port=0", "q,port=65536", "q,port=+1", "q,port=65535,count=2", "q,port=1,x=2"):
        with pytest.raises(FieldError):
            Port.from_string(text)


def test_a_count_of_none_is_one() -> None:
    assert Port("q", 65535, count=0).count == 1
    assert Port("q", 65535).replace(port=1).to_dict() == {
        "name": "q",
        "protocol": "tcp",
        "port": 1,
        "count": 1,
        "socketActivated": False,
    }

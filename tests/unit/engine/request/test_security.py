"""What a caller may ask of an app's security: checked when it is made."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from carob.engine.request.resources import Resources
from carob.engine.request.security import Device, Security
from carob.errors import InvalidInput, Unsupported
from carob.runtime import capabilities
from carob.runtime.seccomp.call_set import CallSet


def test_nothing_is_given_where_nothing_is_said() -> None:
    assert Security().given() == {}
    assert repr(Security()) == "Security()"
    assert Security(no_new_privileges=False, umask=0, cap_retain=[]).given() == {
        "no_new_privileges": False,
        "umask": 0,
        "cap_retain": (),
    }


def test_capabilities_have_one_spelling() -> None:
    assert Security(cap_add=["net_admin", "CAP_NET_ADMIN", "Kill"]).cap_add == ("CAP_NET_ADMIN", "CAP_KILL")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"cap_add": ["SYS_ADMN"]}, "there is no capability 'SYS_ADMN'"),
        ({"cap_add": "KILL"}, "a sequence of words"),
        ({"cap_add": ["KILL"], "cap_drop": ["kill"]}, "both added and dropped"),
        ({"cap_retain": ["KILL"], "cap_drop": ["CHOWN"]}, "cap_retain names all"),
        ({"seccomp": "unconfind"}, "default, unconfined or the path"),
        ({"seccomp": 7}, "a word, a path or a CallSet"),
        ({"ulimits": {"files": 3}}, "there is no limit 'files'"),
        ({"ulimits": {"nofile": (5, 3)}}, "above the hard one"),
        ({"ulimits": {"nofile": (5,)}}, "one number, or soft and hard"),
        ({"ulimits": {"nofile": "many"}}, "a whole number"),
        ({"ulimits": [("nofile", 3)]}, "ulimits is a mapping"),
        ({"umask": 0o1000}, "a umask is from 0"),
        ({"oom_score_adj": 1001}, "from -1000 to 1000"),
        ({"mask": ["relative"]}, "an absolute path"),
        ({"selinux": "a:b"}, "no SELinux label"),
        ({"privileged": 1}, "True or False"),
        ({"devices": ["fuse"]}, "an absolute path"),
        ({"apparmor": None}, "a string"),
    ],
)
def test_what_is_wrong_is_told_at_once(words: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Security(**words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("/dev/fuse", "/etc/fuse"), "cannot be at /etc/fuse"),
        (("/dev/fuse", "/dev/../etc/fuse"), "cannot be at /etc/fuse"),
        (("/dev/fuse", "/dev"), "cannot be at /dev"),
    ],
)
def test_devices_are_below_dev(words: tuple[str, str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Device(*words)


@pytest.mark.parametrize("access", ["", "rr", "x", "rwmx"])
def test_access_is_made_of_three_letters(access: str) -> None:
    with pytest.raises(InvalidInput, match="no access"):
        Device("/dev/fuse", access=access)


@pytest.mark.parametrize(
    ("base", "add", "drop", "expected"),
    [
        (("CAP_KILL", "CAP_CHOWN"), (), (), ("CAP_CHOWN", "CAP_KILL")),
        (("CAP_KILL",), ("CAP_BPF",), ("CAP_KILL",), ("CAP_BPF",)),
        (("CAP_KILL",), ("CAP_BPF",), ("ALL",), ("CAP_BPF",)),
        (("CAP_KILL",), ("ALL",), (), capabilities.NAMES),
        (("CAP_KILL",), ("ALL",), ("CAP_BPF",), tuple(n for n in capabilities.NAMES if n != "CAP_BPF")),
    ],
)
def test_the_set_that_is_chosen(
    base: tuple[str, ...], add: tuple[str, ...], drop: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert capabilities.chosen(base, add=add, drop=drop) == expected


def test_names_of_capabilities_are_the_kernels_in_its_order() -> None:
    numbers = {
        "CAP_CHOWN": 0,
        "CAP_KILL": 5,
        "CAP_SYS_ADMIN": 21,
        "CAP_MKNOD": 27,
        "CAP_SETFCAP": 31,
        "CAP_BPF": 39,
    }
    assert {name: capabilities.NAMES.index(name) for name in numbers} == numbers
    assert capabilities.of_mask(1 << 5 | 1 << 60) == ("CAP_KILL",)


def test_sets_of_calls() -> None:
    with pytest.raises(InvalidInput, match="no system call 'opn'"):
        CallSet("remove", ["opn"])
    with pytest.raises(Unsupported, match="@systemd"):
        CallSet("retain", ["@systemd/basic-io"])
    with pytest.raises(InvalidInput, match="no error 'EWHAT'"):
        CallSet("retain", ["read"], "EWHAT")
    with pytest.raises(InvalidInput, match="nothing is named"):
        CallSet("retain", [])
    with pytest.raises(InvalidInput, match="to retain or to remove"):
        CallSet("drop", ["read"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", [Security(umask=0), Device("/dev/fuse"), CallSet("retain", ["read"]), Resources(cpus=1)]
)
def test_these_are_values(value: Any) -> None:
    for name in type(value).__slots__:
        with pytest.raises(AttributeError, match="does not change"):
            setattr(value, name, None)
    assert repr(pickle.loads(pickle.dumps(value))) == repr(value)

from __future__ import annotations

import pytest

from carob import App
from carob.engine.request.pod import PodRequest
from carob.errors import InvalidInput

APP = App("busybox", ["true"])


def test_nothing_said_is_the_hosts() -> None:
    assert PodRequest([APP]).user_namespace is None
    assert PodRequest([APP], userns="host").user_namespace is None


@pytest.mark.parametrize(("word", "size"), [("auto", 65536), ("auto:size=1", 1), ("auto:size=70000", 70000)])
def test_a_range_of_a_size(word: str, size: int) -> None:
    found = PodRequest([APP], userns=word).user_namespace
    assert found is not None
    assert (found.size, found.uids) == (size, ())


def test_mappings_of_one_kind_are_the_others_too() -> None:
    found = PodRequest([APP], uidmap=["0:100000:1000", "1000:5"]).user_namespace
    assert found is not None
    assert found.size == 0
    assert found.uids == found.gids == ((0, 100000, 1000), (1000, 5, 1))
    found = PodRequest([APP], uidmap=["0:1:1"], gidmap=["0:2:3"]).user_namespace
    assert found is not None
    assert (found.uids, found.gids) == (((0, 1, 1),), ((0, 2, 3),))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"userns": "keep-id"}, "no user namespace 'keep-id'"),
        ({"userns": "auto:size="}, "is not ''"),
        ({"userns": "auto:size=0"}, "from 1 to"),
        ({"userns": "auto:size=-1"}, "is not '-1'"),
        ({"userns": "auto:gidmapping=0:1:2"}, "no user namespace"),
        ({"userns": "auto", "uidmap": ["0:1:2"]}, "do not go together"),
        ({"uidmap": "0:1:2"}, "a sequence"),
        ({"uidmap": ["0"]}, "is no mapping"),
        ({"uidmap": ["0:1:2:3"]}, "is no mapping"),
        ({"uidmap": ["0:x:2"]}, "is not 'x'"),
        ({"uidmap": ["0:1:0"]}, "maps nobody"),
        ({"uidmap": ["0:4294967290:100"]}, "more than there are"),
        ({"uidmap": ["0:99999999999:1"]}, "is not '99999999999'"),
        ({"uidmap": ["0:100:10", "9:200:10"]}, "0:100:10 and 9:200:10 overlap"),
        ({"uidmap": ["0:100:10", "10:109:10"]}, "overlap"),
        ({"uidmap": ["1:100:10"]}, "0 is not mapped"),
        ({"userns": "auto", "pid": "host"}, "pid=host cannot have a user namespace"),
        ({"userns": "auto", "ipc": "host"}, "ipc=host cannot have a user namespace"),
        ({"userns": 5}, "userns"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        PodRequest([APP], **options)  # type: ignore[arg-type]

from __future__ import annotations

import base64

import pytest

from carob.engine.images.described import DescribedImage
from carob.engine.images.transfer import credentials
from carob.errors import InvalidInput
from carob.service.cri.image_messages import image_message
from carob.service.cri.image_names import hub_name, is_id, is_short


@pytest.mark.parametrize(
    ("name", "hub"),
    [("nginx", "docker.io/library/nginx"), ("team/app:1", "docker.io/team/app:1")],
)
def test_a_short_name_is_docker_hubs(name: str, hub: str) -> None:
    assert is_short(name)
    assert hub_name(name) == hub


@pytest.mark.parametrize("name", ["registry.example/nginx", "localhost/x", "127.0.0.1:5000/x:1"])
def test_a_name_with_a_host_is_whole(name: str) -> None:
    assert not is_short(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sha256:" + "a" * 64, True),
        ("a" * 64, True),
        ("sha256:abcd", True),
        ("abcd", False),
        ("web:1", False),
    ],
)
def test_ids(text: str, expected: bool) -> None:
    assert is_id(text) is expected


@pytest.mark.parametrize(
    ("user", "uid", "name"),
    [
        ("", None, ""),
        ("1002", 1002, ""),
        ("1003:www", 1003, ""),
        ("www-data:www", None, "www-data"),
        ("٣", None, "٣"),
    ],
)
def test_who_an_image_runs_as(user: str, uid: int | None, name: str) -> None:
    image = DescribedImage.__new__(DescribedImage)
    image.image_id, image.tags, image.digests = "sha256:1", ("a:1",), ("a@sha256:1",)
    image.size_bytes, image.user = 7, user
    message = image_message(image)
    assert (message.uid.value if message.HasField("uid") else None, message.username) == (uid, name)
    assert (list(message.repo_tags), list(message.repo_digests), message.size) == (["a:1"], ["a@sha256:1"], 7)


def test_credentials() -> None:
    assert credentials("", "") is None
    found = credentials("", "", basic=base64.b64encode("ann:pä:ss".encode()).decode())
    assert found is not None
    assert (found.username, found.password) == ("ann", "pä:ss")
    found = credentials("ann", "b", basic="ignored")
    assert found is not None
    assert found.password == "b"
    found = credentials("", "", registry_token="t")
    assert found is not None
    assert found.registry_token == "t"


@pytest.mark.parametrize(
    "basic", ["!", base64.b64encode(b"nocolon").decode(), base64.b64encode(b"\xff:").decode()]
)
def test_credentials_that_are_none(basic: str) -> None:
    with pytest.raises(InvalidInput):
        credentials("", "", basic=basic)

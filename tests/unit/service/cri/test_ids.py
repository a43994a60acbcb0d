from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import NotFound
from carob.service.cri.ids import container_id, is_beginning, pod_of_container, pod_uuid, sandbox_id


@given(st.uuids().map(str), st.from_regex(r"[a-z]{1,20}", fullmatch=True))
def test_ids_lead_back(uuid: str, app: str) -> None:
    assert pod_uuid(sandbox_id(uuid)) == pod_uuid(uuid) == uuid
    assert pod_of_container(container_id(uuid, app)) == uuid
    assert len(container_id(uuid, app)) == 64


def test_apps_of_a_pod_and_of_others_are_told_apart_at_the_beginning() -> None:
    one, other = str(uuid4()), str(uuid4())
    found = {container_id(uuid, app)[:13] for uuid in (one, other) for app in ("a", "b")}
    assert len(found) == 4


@pytest.mark.parametrize(
    "text", ["", "a", "../../../etc/passwd", "0" * 31, "0" * 33, "g" * 32, "A" * 32, "0" * 64]
)
def test_what_is_no_id_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        pod_uuid(text)


@pytest.mark.parametrize("text", ["", "0" * 32, "0" * 63, "g" * 64])
def test_what_is_no_containers_id_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        pod_of_container(text)


def test_beginnings() -> None:
    assert is_beginning("abc", "abcd")
    assert not is_beginning("bc", "abcd")
    assert not is_beginning("", "abcd")

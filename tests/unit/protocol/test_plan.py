"""The launch plan: read as it was written, refused when it is of a version yet to come."""

from __future__ import annotations

import pytest

from carob.protocol import plan


def test_a_plan_is_read_as_it_was_written() -> None:
    document = {"uuid": "u", "apps": [{"name": "a", "volumes": []}], "grace_s": 2.5}
    assert plan.read(plan.write(document)) == {"version": 1, **document}


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"version":"1"}', b"{", b"\xff"])
def test_what_is_no_plan_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        plan.read(raw)


def test_a_later_version_is_refused_by_number() -> None:
    with pytest.raises(ValueError, match="version 2; this carob knows up to 1"):
        plan.read(b'{"version":2}')

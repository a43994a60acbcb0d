"""The order of dependencies, and what a whitelist keeps (ace.md, "Filesystem Setup")."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from carob.errors import CorruptData
from carob.image.aci.dependencies import Step, laid_out
from carob.image.aci.limits import AciLimits
from carob.image.aci.whitelist import Whitelist, is_kept
from carob.spec.appc.image import Dependency


class Made:
    """An image by a one-letter name, which is its id too."""

    def __init__(self, name: str, *dependencies: str, listed: Sequence[str] = (), layers: int = 1) -> None:
        self.image_id = self.what = name
        self.dependencies = [Dependency(one) for one in dependencies]
        self.path_whitelist = listed
        self.layers = layers


def steps(top: str, *images: Made, limits: AciLimits | None = None) -> list[Step]:
    by_name = {image.image_id: image for image in images}
    return laid_out(by_name[top], lambda one, _: by_name[str(one.image_name)], limits or AciLimits())


def order(top: str, *images: Made) -> str:
    return "".join(step.image.image_id for step in steps(top, *images))


def test_the_examples_of_the_specification() -> None:
    assert order("a", Made("a", "b", "c"), Made("b"), Made("c", "d"), Made("d")) == "bdca"
    assert order("a", Made("a", "b", "c"), Made("b", "d"), Made("c", "d"), Made("d")) == "dbdca"


def test_an_image_has_to_pass_every_whitelist_on_the_way_to_the_top() -> None:
    found = steps(
        "a",
        Made("a", "b", "c", listed=["/a"]),
        Made("b", "d", listed=["/b"]),
        Made("c", "d"),
        Made("d", listed=["/d"]),
    )
    assert [(step.image.image_id, step.listed_by) for step in found] == [
        ("d", ("a", "b", "d")),
        ("b", ("a", "b")),
        ("d", ("a", "d")),
        ("c", ("a",)),
        ("a", ("a",)),
    ]


def test_a_circle_of_dependencies_is_refused() -> None:
    with pytest.raises(CorruptData, match="a depends on itself"):
        order("a", Made("a", "b"), Made("b", "c"), Made("c", "a"))
    with pytest.raises(CorruptData, match="depends on itself"):
        order("a", Made("a", "a"))


def test_too_deep_dependencies_are_refused() -> None:
    chain = [Made(f"i{number}", f"i{number + 1}") for number in range(50)] + [Made("i50")]
    with pytest.raises(CorruptData, match="more than 32 deep"):
        steps("i0", *chain)
    assert len(steps("i20", *chain)) == 31


def test_dependencies_that_double_at_each_level_are_refused_soon() -> None:
    """Thirty levels of two would be a thousand million layers."""
    chain = [Made(f"i{number}", f"i{number + 1}", f"i{number + 1}") for number in range(30)] + [Made("i30")]
    with pytest.raises(CorruptData, match="more than 127 layers"):
        steps("i0", *chain)
    empty = [*chain[:-1], Made("i30", layers=0)]
    with pytest.raises(CorruptData, match="more than 127 layers"):
        steps("i0", *empty)


def test_layers_of_rendered_images_count() -> None:
    with pytest.raises(CorruptData, match="more than 127 layers"):
        steps("a", Made("a", "b"), Made("b", layers=127))
    assert len(steps("a", Made("a", "b"), Made("b", layers=126))) == 2


# The list of the specification's example (aci.md).
LISTED = Whitelist(
    [
        "/etc/ca/example.com/crt",
        "/usr/bin/map-reduce-worker",
        "/opt/libs/reduce-toolkit.so",
        "/etc/reduce-worker.conf",
        "/etc/systemd/system/",
    ]
)


@pytest.mark.parametrize(
    ("path", "is_directory", "expected"),
    [
        (b"", True, True),
        (b"etc", True, True),
        (b"etc/ca/example.com", True, True),
        (b"etc/ca/example.com/crt", False, True),
        (b"etc/ca/example.com/crt", True, True),
        (b"etc/ca/example.com/other", False, False),
        (b"etc/systemd/system", True, True),
        (b"etc/systemd/system/x.service", False, False),  # the list is complete: no subtrees
        (b"usr/bin/map-reduce-worker", False, True),
        (b"usr/bin/map-reduce", False, False),
        (b"usr/bin", False, False),  # a link in place of a directory is not the directory
        (b"var", True, False),
    ],
)
def test_a_whitelist_keeps_what_it_lists(path: bytes, is_directory: bool, expected: bool) -> None:
    assert is_kept(path, is_directory=is_directory, whitelists=[LISTED]) is expected


def test_whitelisted_paths_are_brought_into_their_shortest_form() -> None:
    listed = Whitelist(["usr/./bin//x", "/a/../b", "/../c", "/\u00e9"])
    for path in (b"usr/bin/x", b"b", b"c", b"\xc3\xa9"):
        assert listed.keeps(path, is_directory=False)
    assert not listed.keeps(b"a", is_directory=True)


def test_several_lists_must_all_keep_a_file() -> None:
    lists = [Whitelist(["/a", "/b"]), Whitelist(["/b", "/c"])]
    assert [is_kept(name, is_directory=False, whitelists=lists) for name in (b"a", b"b", b"c")] == [
        False,
        True,
        False,
    ]
    assert is_kept(b"anything", is_directory=False, whitelists=[])

"""The documents: pages can be reached, links lead somewhere, and what they list is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from carob.image.limits import ImageLimits
from carob.image.registry import configuration_file
from carob.image.registry.limits import DEFAULT_LIMITS
from carob.image.tar.limits import LIMITS
from carob.image.trust.insecure import WORDS
from carob.image.trust.policy import parse_policy, policy_paths
from tests.architecture.sources import ROOT

README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

_LINK = re.compile(r"\]\((?!https?://)([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_ROW = re.compile(r"^\| `([^`|]+)`", re.MULTILINE)


def text_of(page: Path) -> str:
    """A page without its blocks of code, in which nothing is a link or a heading."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[tuple[Path, str]]:
    """Return where the page's links within the project lead: a path, and an anchor or nothing."""
    found = []
    for link in _LINK.findall(text_of(page)):
        path, _, anchor = link.partition("#")
        found.append(((page.parent / path).resolve() if path else page, anchor))
    return found


def anchors(page: Path) -> set[str]:
    """Return the anchors that hosts of repositories make of a page's headings."""
    titles = (title.lower().replace("`", "") for title in _HEADING.findall(text_of(page)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), target
        assert not anchor or anchor in anchors(target), f"{target}#{anchor}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [target for target, _ in links(page)]
        # A link to a directory shows its README.
        waiting += [target / "README.md" for target, _ in links(page) if (target / "README.md").is_file()]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def _block(page: str, language: str) -> bytes:
    found = re.search(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].encode()


def _section(page: str, title: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.split(r"^## ", text.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]


def test_registries_toml_is_told_of_key_by_key(tmp_path: Path) -> None:
    page = "docs/reference/registries-toml.md"
    assert sorted(_ROW.findall(_section(page, "`[[registry]]`"))) == sorted(configuration_file._REGISTRY)
    assert sorted(_ROW.findall(_section(page, "`mirrors`"))) == sorted(configuration_file._MIRROR)
    path = tmp_path / "registries.toml"
    path.write_bytes(_block(page, "toml"))
    found = configuration_file.read(str(path))
    assert len(found.rules) == 3
    assert found.aliases


def test_the_limits_of_registries_are_the_codes() -> None:
    table = _section("docs/reference/registries-toml.md", "Time and patience")
    limits = DEFAULT_LIMITS
    for number, unit in (
        (limits.connect_s, " s"),
        (limits.headers_s, " s"),
        (limits.commit_s, " s"),
        (limits.stall_s, " s"),
        (limits.least_bytes_s, " bytes"),
        (limits.document_s, " s"),
        (limits.attempts, ";"),
        (limits.longest_wait_s, " s"),
        (limits.request_s, " s"),
        (limits.redirects, " "),
        (limits.helper_s, " s"),
    ):
        assert f"{number:g}{unit}" in table


def test_the_limits_of_images_are_the_codes() -> None:
    table = _section("docs/reference/image-store.md", "Limits")
    assert f"{ImageLimits().layer_bytes >> 30} GiB; {ImageLimits().image_bytes >> 30} GiB" in table
    assert f"{LIMITS.layer_bytes >> 30} GiB" in table
    assert f"{LIMITS.entries:,}" in table
    assert f"{LIMITS.path_bytes} bytes, {LIMITS.name_bytes} bytes, {LIMITS.depth}" in table
    assert f"{LIMITS.xattrs}, {LIMITS.xattr_bytes >> 10} KiB" in table
    assert f"{LIMITS.header_bytes >> 20} MiB; {LIMITS.extents:,}" in table
    assert (LIMITS.ratio, LIMITS.ratio_free_bytes) == (256, 1 << 30)  # "beyond the first GiB"


def test_trust_is_told_of_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    page = "docs/reference/trust.md"
    policy = parse_policy(_block(page, "json"), page)
    assert policy.requirement("docker", "registry.example/team/app:1").wants_signatures
    assert policy.requirement("docker", "a.partner.example/app:1").wants_signatures
    assert not policy.requirement("docker", "other.example/app:1").wants_signatures
    assert tuple(_ROW.findall(_section(page, "`--insecure-options`"))) == WORDS
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    said = re.findall(r"^\d\. .*?`([^`]*policy\.json)`\)?$", _section(page, "The policy"), re.MULTILINE)
    assert [place.replace("~", "/home/ann") for place in said] == list(policy_paths())

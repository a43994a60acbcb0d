"""Where simple signatures are looked for: registries.d, in podman's words, and nothing guessed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from carob.errors import InvalidInput, NotFound, Unsupported
from carob.image.trust.block_yaml import parse_block
from carob.image.trust.docker_reference import parse_docker_reference
from carob.image.trust.registries_d import lookaside_places
from carob.image.trust.signatures import Lookaside

DIGEST = "sha256:" + "a" * 64

FILE = """\
# A file as distributions ship it.
---
default-docker:
#  lookaside: https://not.example
  sigstore-staging: file:///var/lib/elsewhere
docker:
    registry.example:
        sigstore: https://old.example/signatures   # deprecated

    'registry.example:5000/team':
         "lookaside": "file:///srv/signatures"
         sigstore: 'https://old.example'
         use-sigstore-attachments: true
    registry.example/quiet:
      use-sigstore-attachments: false
    registry.example/nothing:
"""


def test_blocks_are_read_as_yaml_has_them() -> None:
    assert parse_block(FILE, "x") == {
        "default-docker": {"sigstore-staging": "file:///var/lib/elsewhere"},
        "docker": {
            "registry.example": {"sigstore": "https://old.example/signatures"},
            "registry.example:5000/team": {
                "lookaside": "file:///srv/signatures",
                "sigstore": "https://old.example",
                "use-sigstore-attachments": "true",
            },
            "registry.example/quiet": {"use-sigstore-attachments": "false"},
            "registry.example/nothing": None,
        },
    }
    assert parse_block("a: {}\r\nb: 'it''s # no \\ comment' # one\nc: \"\\\\\\\"\"\n", "x") == {
        "a": {},
        "b": "it's # no \\ comment",
        "c": '\\"',
    }
    assert parse_block("", "x") == parse_block("# nothing\n\n", "x") == {}


@pytest.mark.parametrize(
    "text",
    [
        "docker: [a]",
        "docker: {a: b}",
        "docker: &a b",
        "docker: *a",
        "docker: !!str b",
        "docker: |\n  b",
        "docker: >\n  b",
        "docker: a: b",
        "docker: a\n  b",
        "docker: a\n  b: c",
        "docker",
        "- docker: a",
        "? docker",
        "docker:\n\tb: c",
        "docker:\n  a: b\n c: d",
        "  docker: a\nb: c",
        "docker: a\ndocker: b",
        "docker: 'a",
        'docker: "\\n"',
        "docker: 'a' b",
        "%YAML 1.2\n---\ndocker: a",
        "docker: a\n---\ndocker: b",
        "docker: a\n...\n",
        "docker: a\x85b: c",
        "<<: a\n: b",
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^x, line \d"):
        parse_block(text, "x")


def test_places_of_all_files_together(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(FILE)
    (tmp_path / "two.yaml").write_text(
        "docker:\n  other.example:\n    lookaside: http://signatures.example/x?y=z\n"
    )
    (tmp_path / "three.yml").write_text("no: [yaml")
    assert lookaside_places(str(tmp_path)) == {
        "registry.example": "https://old.example/signatures",
        "registry.example:5000/team": "file:///srv/signatures",
        "other.example": "http://signatures.example/x?y=z",
    }
    assert lookaside_places(str(tmp_path / "none")) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("docker:\n  a.example:\n    lookaside: ftp://x/y", "a.example"),
        ("docker:\n  a.example:\n    lookaside: /srv/x", "a.example"),
        ("docker:\n  a.example: https://x", "not a mapping"),
        ("docker: all", "not a mapping"),
        ("default-docker: https://x", "not a mapping"),
        ("default-docker:\n  sigstore: file://relative", "default-docker"),
        ("docker:\n  twice.example:\n    lookaside: https://x", "twice.example.*first.yaml"),
        ("default-docker:\n  lookaside: https://x", "default-docker.*first.yaml"),
    ],
)
def test_mistakes_name_the_file_and_the_scope(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "first.yaml").write_text("default-docker:\n  x: y\ndocker:\n  twice.example:\n")
    (tmp_path / "second.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=f"second.yaml.*{said}"):
        lookaside_places(str(tmp_path))


def test_the_users_own_directory_goes_before_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    own = tmp_path / ".config/containers/registries.d"
    own.mkdir(parents=True)
    (own / "a.yaml").write_text("default-docker:\n  lookaside: https://own.example\n")
    assert lookaside_places() == {"": "https://own.example"}


def stored(directory: Path, repository: str, *blobs: bytes) -> None:
    place = directory / f"{repository}@{DIGEST.replace(':', '=')}"
    place.mkdir(parents=True)
    for number, blob in enumerate(blobs, 1):
        (place / f"signature-{number}").write_bytes(blob)


def test_the_most_precise_scope_counts(tmp_path: Path) -> None:
    places = {
        name: f"file://{tmp_path}/{number}%20x"
        for number, name in enumerate(
            ["", "a.example", "a.example/team", "a.example/team/app:1", "*.b.example"]
        )
    }
    for number in range(5):
        for repository in ("team/app", "other", "team/else"):
            stored(tmp_path / f"{number} x", repository, b"%d" % number, b"second")
    lookaside = Lookaside(places)
    for name, expected in (
        ("a.example/team/app:1", b"3"),
        ("a.example/team/app:2", b"2"),
        ("a.example/team/else", b"2"),
        ("a.example/other:1", b"1"),
        ("x.b.example/other:1", b"4"),
        ("c.example/other:1", b"0"),
    ):
        assert lookaside.signatures(parse_docker_reference(name), DIGEST) == [expected, b"second"]
    assert lookaside.signatures(parse_docker_reference("a.example/none:1"), DIGEST) == []


def test_signatures_on_a_web_site() -> None:
    asked: list[str] = []

    def get(url: str) -> bytes:
        asked.append(url)
        if url.endswith("signature-3?key=1"):
            raise NotFound("404")
        return url.encode()

    image = parse_docker_reference("a.example/team/app:1")
    found = Lookaside({"a.example": "https://s.example/base?key=1"}, get=get).signatures(image, DIGEST)
    base = f"https://s.example/base/team/app@{DIGEST.replace(':', '=')}"
    assert asked == [f"{base}/signature-{number}?key=1" for number in (1, 2, 3)]
    assert found == [url.encode() for url in asked[:2]]
    with pytest.raises(Unsupported):
        Lookaside({"a.example": "https://s.example"}).signatures(image, DIGEST)


def test_without_any_place_it_is_podmans_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    stored(tmp_path / ".local/share/containers/sigstore", "team/app", b"here")
    assert Lookaside({}).signatures(parse_docker_reference("a.example/team/app:1"), DIGEST) == [b"here"]

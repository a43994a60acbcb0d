"""registries.toml: what it says, which rule counts for which name, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import CarobError, InvalidInput, Rejected
from carob.image.registry import configuration
from carob.image.registry.configuration import Configuration, Mirror, Pull, Rule
from carob.image.registry.endpoint import Endpoint
from carob.spec.reference import parse_reference

DIGEST = "sha256:" + "0" * 64


def load(tmp_path: Path, *texts: str) -> Configuration:
    paths = []
    for number, text in enumerate(texts):
        path = tmp_path / f"registries-{number}.toml"
        path.write_text(text)
        paths.append(str(path))
    return configuration.load(tuple(paths))


def places(found: Configuration, name: str) -> list[str]:
    return [endpoint.path for endpoint in found.endpoints(parse_reference(name))]


def test_without_files_a_name_is_at_its_own_registry() -> None:
    found = configuration.load(("/nonexistent/registries.toml",))
    assert found.endpoints(parse_reference("example.org/team/app:1")) == (
        Endpoint(host="example.org", repository="team/app"),
    )


def test_files_are_looked_for_in_three_places() -> None:
    assert configuration.files({"XDG_CONFIG_HOME": "/x"}) == (
        "/usr/lib/carob/registries.toml",
        "/etc/carob/registries.toml",
        "/x/carob/registries.toml",
    )
    assert configuration.files({"XDG_CONFIG_HOME": "relative"})[2].endswith("/.config/carob/registries.toml")


def test_no_registry_is_guessed_for_a_bare_name() -> None:
    with pytest.raises(InvalidInput, match="does not say which registry"):
        Configuration().endpoints(parse_reference("busybox"))
    with pytest.raises(InvalidInput):
        Configuration().endpoints(parse_reference("library/busybox"))


def test_an_alias_keeps_the_tag_and_the_digest_given(tmp_path: Path) -> None:
    found = load(tmp_path, '[aliases]\nbusybox = "docker.example/library/busybox"\n')
    assert str(found.expand(parse_reference("busybox:1"))) == "docker.example/library/busybox:1"
    assert str(found.expand(parse_reference("busybox"))) == "docker.example/library/busybox:latest"
    assert (
        str(found.expand(parse_reference(f"busybox@{DIGEST}"))) == f"docker.example/library/busybox@{DIGEST}"
    )
    assert found.expand(parse_reference("other")) is None


def test_a_later_file_wins_per_alias_and_per_registry(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        '[aliases]\na = "one.example/a"\nb = "one.example/b"\nc = "one.example/c"\n'
        '[[registry]]\nprefix = "one.example"\ninsecure = true\n'
        '[[registry]]\nprefix = "two.example"\ninsecure = true\n',
        '[aliases]\na = "two.example/a"\nb = ""\n[[registry]]\nprefix = "one.example"\nca = "/ca.pem"\n',
    )
    assert found.aliases == {"a": "two.example/a", "c": "one.example/c"}
    assert not found.rules["one.example"].insecure  # replaced as a whole
    assert found.rules["one.example"].ca == "/ca.pem"
    assert found.rules["two.example"].insecure


def test_everything_a_registry_can_say(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        """
        [[registry]]
        prefix = "example.org/team"
        location = "registry.internal:5000/their/team"
        insecure = true
        ca = "/etc/team.pem"
        mirrors = [
            { location = "mirror.internal/team", insecure = true, pull = "digest-only" },
            { location = "[::1]:5000", ca = "/m.pem", pull = "tag-only" },
            { location = "all.internal" },
        ]
        """,
    )
    assert found.endpoints(parse_reference("example.org/team/app:1")) == (
        Endpoint(host="[::1]:5000", repository="app", ca="/m.pem", is_mirror=True),
        Endpoint(host="all.internal", repository="app", is_mirror=True),
        Endpoint(
            host="registry.internal:5000", repository="their/team/app", insecure=True, ca="/etc/team.pem"
        ),
    )
    assert found.endpoints(parse_reference(f"example.org/team/app@{DIGEST}"))[0] == Endpoint(
        host="mirror.internal", repository="team/app", insecure=True, is_mirror=True
    )


def test_the_longest_prefix_counts_and_only_whole_components(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        '[[registry]]\nprefix = "example.org"\nlocation = "one.example"\n'
        '[[registry]]\nprefix = "example.org/team"\nlocation = "two.example"\n'
        '[[registry]]\nprefix = "example.org/team/app"\nlocation = "three.example/x"\n'
        '[[registry]]\nprefix = "*.example.org"\nmirrors = [{ location = "sub.example" }]\n'
        '[[registry]]\nprefix = "*"\nmirrors = [{ location = "any.example/cache" }]\n',
    )
    assert places(found, "example.org/other") == ["one.example/other"]
    assert places(found, "example.org/teams/app") == ["one.example/teams/app"]
    assert places(found, "example.org/team/b") == ["two.example/b"]
    assert places(found, "example.org/team/app") == ["three.example/x"]
    assert places(found, "a.b.example.org/x") == ["sub.example/x", "a.b.example.org/x"]
    assert places(found, "badexample.org/x")[0] == "any.example/cache/x"


def test_a_mirror_for_every_host_is_told_the_host(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        '[[registry]]\nprefix = "*"\n'
        'mirrors = [{ location = "one.example/cache" }, { location = "two.example/*" }]\n',
    )
    first, second, last = found.endpoints(parse_reference("example.org/team/app"))
    assert (first.path, first.namespace) == ("one.example/cache/team/app", "example.org")
    assert (second.path, second.namespace) == ("two.example/example.org/team/app", "")
    assert (last.path, last.is_mirror) == ("example.org/team/app", False)
    # No path can hold a port: that mirror is passed over rather than asked for another host's image.
    assert places(found, "example.org:5000/app") == ["one.example/cache/app", "example.org:5000/app"]


@pytest.mark.parametrize(
    "name",
    ["docker.io/busybox", "index.docker.io/library/busybox", "DOCKER.IO/busybox", "docker.io:443/busybox"],
)
def test_dockers_hub_has_one_name(name: str) -> None:
    (endpoint,) = Configuration().endpoints(parse_reference(name))
    assert endpoint.path == "docker.io/library/busybox"
    assert endpoint.api_host == "registry-1.docker.io"


@pytest.mark.parametrize(
    "name", ["bad.example/x", "BAD.example/x", "bad.example:443/x", "bad.example:0443/x", "bad.example/x/y/z"]
)
def test_a_blocked_registry_has_no_other_name(tmp_path: Path, name: str) -> None:
    found = load(tmp_path, '[[registry]]\nprefix = "Bad.Example:443"\nblocked = true\n')
    with pytest.raises(Rejected) as caught:
        found.endpoints(parse_reference(name))
    assert "registries-0.toml" in caught.value.hint
    assert "bad.example" in caught.value.hint
    with pytest.raises(Rejected):
        found.origin(parse_reference(name).repository)
    assert places(found, "bad.example:444/x") == ["bad.example:444/x"]


def test_a_push_goes_to_the_registry_and_to_no_mirror(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        '[[registry]]\nprefix = "a.example"\nlocation = "b.example/x"\n'
        'mirrors = [{ location = "m.example" }]\n',
    )
    assert found.origin("a.example/app") == Endpoint(host="b.example", repository="x/app")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[registry]", "is not TOML"),
        ("alias = 1", "unknown key 'alias'"),
        ("aliases = 1", "aliases is not a table"),
        ("registry = 1", "registry is not a list of tables"),
        ("[registry]\nprefix = 'a.example'", "registry is not a list of tables"),
        ("[[registry]]\n", "registry[0] has no prefix"),
        ("[[registry]]\nprefix = 1", "registry[0].prefix must be a string, not 1"),
        ("[[registry]]\nprefix = 'a.example'\nsecure = 1", "registry[0]: unknown key 'secure'"),
        (
            "[[registry]]\nprefix = 'a.example'\ninsecure = 'yes'",
            "registry[0].insecure must be true or",
        ),
        ("[[registry]]\nprefix = 'a.example'\nca = 'x.pem'", "registry[0].ca must be an absolute path"),
        ("[[registry]]\nprefix = 'a.example'\n[[registry]]\nprefix = 'A.example'", "registry[1].prefix"),
        ("[[registry]]\nprefix = 'a.example/Team'", "registry[0].prefix"),
        ("[[registry]]\nprefix = 'a.example/x:tag'", "registry[0].prefix"),
        ("[[registry]]\nprefix = '*.a.example/x'", "registry[0].prefix"),
        ("[[registry]]\nprefix = '*'\nlocation = 'a.example'", "registry[0].location"),
        ("[[registry]]\nlocation = 'http://a.example'", "'http://a.example' is no location"),
        ("[[registry]]\nprefix = 'a.example'\nmirrors = 'm'", "registry[0].mirrors is not a list"),
        ("[[registry]]\nprefix = 'a.example'\nmirrors = [{}]", "registry[0].mirrors[0] has no location"),
        (
            "[[registry]]\nprefix = 'a.example'\nmirrors = [{location = 'm.example', pull = 'some'}]",
            "registry[0].mirrors[0].pull must be one of all, digest-only, tag-only, not 'some'",
        ),
        (
            "[[registry]]\nprefix = 'a.example'\nmirrors = [{location = 'm.example/*'}]",
            "registry[0].mirrors[0].location",
        ),
        ("[[registry]]\nprefix = 'a.example:99999'", "its port is no port"),
        ("[[registry]]\nprefix = '[::1'", "its host is no IPv6 address"),
        ("[aliases]\nbusybox = 1", "aliases.busybox is not a string"),
        ("[aliases]\nbusybox = 'library/busybox'", "aliases.busybox"),
        ("[aliases]\nbusybox = 'a.example/busybox:1'", "aliases.busybox"),
        ("[aliases]\n'a.example/busybox' = 'a.example/b'", "'a.example/busybox' cannot be an alias"),
        ("[aliases]\n'busybox:1' = 'a.example/b'", "'busybox:1' cannot be an alias"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, text)
    assert words in caught.value.message
    assert str(tmp_path / "registries-0.toml") in caught.value.message


@pytest.mark.parametrize("key", ["location", "prefix"])
def test_a_password_in_a_location_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    for text in ("user:hunter2@a.example", "https://user:hunter2@a.example", "u:hunter2/x@y@a.example"):
        with pytest.raises(InvalidInput) as caught:
            load(tmp_path, f"[[registry]]\n{key} = '{text}'")
        assert "hunter2" not in caught.value.message + caught.value.hint
        assert "a.example" in caught.value.message
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, "[aliases]\nx = 'user:hunter2@a.example/x'")
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=str(tmp_path)):
        configuration.load((str(tmp_path),))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="is not TOML"):
        configuration.load((str(tmp_path / "binary.toml"),))


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    found = load(tmp_path, " \n")
    assert not found.rules
    assert not found.aliases


_scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
_words = st.sampled_from(
    ["*", "*.a.example", "a.example", "a.example/b", "A:1", "user:pw@x", "http://x", "all", ""]
)
_mirrors = st.dictionaries(
    st.sampled_from(["location", "insecure", "ca", "pull", "x"]), _words | _scalars, max_size=4
)
_tables = st.dictionaries(
    st.sampled_from(["prefix", "location", "insecure", "ca", "mirrors", "blocked", "x"]),
    _words | _scalars | st.lists(_mirrors | _scalars, max_size=2),
    max_size=5,
)


@given(
    document=st.dictionaries(
        st.sampled_from(["aliases", "registry", "x"]),
        _scalars | st.lists(_tables, max_size=3) | st.dictionaries(_words, _words | _scalars, max_size=3),
        max_size=3,
    )
)
def test_any_document_is_taken_or_refused_in_words(document: dict[str, object]) -> None:
    from carob.image.registry import configuration_file

    try:
        configuration_file._check_keys(document, ("aliases", "registry"), "file")
        rules = configuration_file._rules(document, "file")
        configuration_file._aliases(document, "file")
    except CarobError:
        return
    found = Configuration({}, rules)
    for name in ("a.example/b/c", "x.a.example/b", f"other.example:5000/b@{DIGEST}"):
        try:
            endpoints = found.endpoints(parse_reference(name))
        except Rejected:
            continue
        assert all("@" not in endpoint.path for endpoint in endpoints)
        assert not endpoints[-1].is_mirror


def test_a_configuration_can_be_made_without_files() -> None:
    found = Configuration(
        rules={
            "a.example": Rule(prefix="a.example", mirrors=(Mirror(location="m.example", pull=Pull.TAG_ONLY),))
        }
    )
    assert places(found, "a.example/x:1") == ["m.example/x", "a.example/x"]
    assert places(found, f"a.example/x:1@{DIGEST}") == ["a.example/x"]

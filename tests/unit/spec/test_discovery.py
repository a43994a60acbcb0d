from __future__ import annotations

import time

import pytest

from carob.errors import InvalidInput
from carob.spec.appc.platform import labels_of_platform, platform_of_labels
from carob.spec.discovery import (
    AppcName,
    Endpoint,
    discovery_pages,
    endpoints,
    has_prefix,
    key_urls,
    parse_appc_name,
    path_parts,
    simple_endpoints,
)
from carob.spec.discovery_page import PAGE_BYTES, parse_page
from carob.spec.oci.descriptor import Platform

HOST = {"os": "linux", "arch": "amd64"}
# The example of the specification (discovery.md), and what surrounds it in pages of real servers.
PAGE = b"""<!DOCTYPE html><html><head>
<title>a title with <meta name="ac-discovery" content="example.com https://title/{name}.{ext}"></title>
<!-- <meta name="ac-discovery" content="example.com https://comment/{name}.{ext}"> -->
<script>var x = '<meta name="ac-discovery" content="example.com https://script/{name}.{ext}">';</script>
<meta charset="utf-8"><meta name="description" content="ac-discovery is here">
<meta name="ac-discovery" content="example.com https://storage.example.com/{os}/{arch}/{name}-{version}.{ext}">
<META CONTENT='example.com hdfs://storage.example.com/{name}-{version}-{os}.{ext}' NAME='ac-discovery'/>
<meta name=ac-discovery content="  other.com   https://other.com/{name}.{ext}  ">
<meta name="ac-discovery-pubkeys" content="example.com https://example.com/pubkeys.gpg">
</head>"""


@pytest.mark.parametrize(
    ("text", "name", "labels"),
    [
        ("example.com/reduce-worker", "example.com/reduce-worker", {}),
        ("example.com/reduce-worker:1.0.0", "example.com/reduce-worker", {"version": "1.0.0"}),
        ("example.com/w,channel=alpha,a=b", "example.com/w", {"channel": "alpha", "a": "b"}),
        (
            "example.com/w:1.0.0,os=linux,arch=amd64",
            "example.com/w",
            {"version": "1.0.0", "os": "linux", "arch": "amd64"},
        ),
        ("w,a=b=c", "w", {"a": "b=c"}),
        ("w,url=http://x:80/", "w", {"url": "http://x:80/"}),
        ("w,empty=", "w", {"empty": ""}),
    ],
)
def test_names_with_labels_are_parsed(text: str, name: str, labels: dict[str, str]) -> None:
    parsed = parse_appc_name(text)
    assert (parsed.name, dict(parsed.labels)) == (name, labels)
    assert parse_appc_name(str(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        *("", ":1", "Example.com/x", "example.com/x:", "a:1:2", "a,b", "a,b=1,b=2", "a,name=b", "a,x:y=1"),
        *("a:1,version=2", "-a", "a/", "a b", "a,B=1", "a:1\n", "a,b=\x00", "a,=1"),
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_appc_name(text)


@pytest.mark.parametrize("name", ["a/../b", "a/./b", "a//b", "a/.."])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        path_parts(name)


def test_pages_are_asked_from_the_name_upwards() -> None:
    assert discovery_pages("example.com/project/sub") == [
        "https://example.com/project/sub?ac-discovery=1",
        "https://example.com/project?ac-discovery=1",
        "https://example.com?ac-discovery=1",
    ]


def test_the_example_of_the_specification_renders_as_it_says() -> None:
    tags = parse_page(PAGE)
    wanted = parse_appc_name("example.com/reduce-worker:1.0.0")
    base = "https://storage.example.com/linux/amd64/example.com/reduce-worker-1.0.0"
    assert endpoints(wanted, tags, HOST) == [Endpoint(base + ".aci", base + ".aci.asc")]
    assert key_urls(wanted.name, tags) == ["https://example.com/pubkeys.gpg"]


def test_a_missing_version_is_latest_and_given_labels_win_over_the_host() -> None:
    tags = parse_page(b'<meta name="ac-discovery" content="a.b https://s/{name}/{version}/{arch}.{ext}">')
    assert endpoints(AppcName("a.b/c", {}), tags, HOST)[0].image == "https://s/a.b/c/latest/amd64.aci"
    given = AppcName("a.b/c", {"arch": "aarch64"})
    assert endpoints(given, tags, HOST)[0].image == "https://s/a.b/c/latest/aarch64.aci"


def test_templates_with_open_variables_or_without_ext_are_passed_over() -> None:
    page = b"".join(
        b'<meta name="ac-discovery" content="a.b https://s/%s">' % template
        for template in (b"{name}-{channel}.{ext}", b"{name}.aci", b"{name}.{ext}")
    )
    found = endpoints(AppcName("a.b/c", {}), parse_page(page), HOST)
    assert [one.image for one in found] == ["https://s/a.b/c.aci"]


def test_label_values_cannot_change_the_url_around_them() -> None:
    tags = parse_page(b'<meta name="ac-discovery" content="a.b https://s/{version}/{name}.{ext}">')
    found = endpoints(AppcName("a.b/c", {"version": "1/../../x?y#z@h"}), tags, HOST)
    assert found[0].image == "https://s/1%2F..%2F..%2Fx%3Fy%23z%40h/a.b/c.aci"
    for value in ("", ".", ".."):
        with pytest.raises(InvalidInput):
            endpoints(AppcName("a.b/c", {"version": value}), tags, HOST)


@pytest.mark.parametrize(
    ("name", "prefix", "expected"),
    [
        ("example.com/app", "example.com", True),
        ("example.com/app", "example.com/", True),
        ("example.com/app", "example.com/app", True),
        ("example.comx/app", "example.com", False),
        ("example.com/~alicebob", "example.com/~alice", False),
        ("example.com", "example.com/app", False),
    ],
)
def test_prefixes_match_by_whole_parts(name: str, prefix: str, expected: bool) -> None:
    assert has_prefix(name, prefix) is expected


def test_simple_discovery_guesses_the_url() -> None:
    found = simple_endpoints(parse_appc_name("example.com/w:1"), HOST)
    assert found == [Endpoint(*(f"https://example.com/w-1-linux-amd64.{ext}" for ext in ("aci", "aci.asc")))]


def test_simple_discovery_never_makes_another_host_of_a_bare_one() -> None:
    assert simple_endpoints(parse_appc_name("example.com:1"), HOST) == []


@pytest.mark.parametrize(
    "text",
    [
        b"<!--",
        b"<a ",
        b"<meta ",
        b"<meta ac-discovery='",
        b'<meta ac-discovery a="" ',
        b"<title>",
        b"</",
        b"<meta ac-discovery>",
        b'<meta name="ac-discovery" content="a b">',
        b"<",
    ],
)
def test_a_page_made_to_keep_the_parser_busy_does_not(text: bytes) -> None:
    """The standard library's parser alone takes hours for some of these, and no test has so long."""
    started = time.process_time()
    assert len(parse_page(text * (PAGE_BYTES // len(text)))) <= 100
    assert time.process_time() - started < 30


@pytest.mark.parametrize(
    ("go", "appc"),
    [
        (Platform("amd64", "linux"), {"os": "linux", "arch": "amd64"}),
        (Platform("386", "linux"), {"os": "linux", "arch": "i386"}),
        (Platform("arm64", "linux"), {"os": "linux", "arch": "aarch64"}),
        (Platform("arm", "linux", "v7"), {"os": "linux", "arch": "armv7l"}),
    ],
)
def test_platforms_and_labels_lead_to_each_other(go: Platform, appc: dict[str, str]) -> None:
    assert labels_of_platform(go) == appc
    assert platform_of_labels(appc, Platform("riscv64", "linux")) == go


def test_an_image_that_does_not_say_is_for_this_host() -> None:
    host = Platform("riscv64", "linux")
    assert platform_of_labels({}, host) == host
    assert platform_of_labels({"os": "linux"}, host) == host
    assert labels_of_platform(host) == {"os": "linux"}

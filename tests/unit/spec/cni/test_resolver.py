from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.errors import InvalidInput
from carob.spec.cni.resolver import Resolver, is_local, parse_resolver, resolver_of_result, wanted_resolver

WORD = st.from_regex(r"[a-z0-9.:-]{1,20}", fullmatch=True)


@given(
    st.lists(st.ip_addresses().map(str), max_size=3),
    st.lists(WORD, max_size=3),
    st.lists(WORD, max_size=3),
)
def test_a_resolver_is_read_back_from_its_text(
    servers: list[str], search: list[str], options: list[str]
) -> None:
    found = parse_resolver(Resolver(servers, search=search, options=options).text())
    assert (list(found.servers), list(found.search), list(found.options)) == (servers, search, options)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    found = parse_resolver(text)
    assert parse_resolver(found.text()).text() == found.text()


def test_the_file_as_the_c_library_reads_it() -> None:
    found = parse_resolver(
        "# a comment\nnameserver 192.0.2.1 # more\n nameserver fe80::1%eth0\nnameserver nonsense\n"
        "domain example.org\nsearch a.example b.example\noptions ndots:2 rotate\nsortlist 10.0.0.0\n;x y\n"
    )
    assert found.servers == ("192.0.2.1", "fe80::1%eth0")
    assert (found.domain, found.search, found.options) == (
        "",
        ("a.example", "b.example"),
        ("ndots:2", "rotate"),
    )
    assert parse_resolver("search a\ndomain b\n").text() == "domain b\n"
    assert not Resolver()
    assert Resolver(domain="x")


def test_words_that_would_end_a_line_are_refused() -> None:
    for arguments in ({"search": ["a b"]}, {"options": [""]}, {"domain": "a\nnameserver 192.0.2.1"}):
        with pytest.raises(InvalidInput):
            Resolver(**arguments)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        Resolver(["example.org"])


def test_a_plugins_dns_is_taken_as_far_as_it_makes_sense() -> None:
    dns = {"nameservers": ["192.0.2.1", 5, "x"], "search": ["a", "b c"], "domain": "d", "options": "ndots:2"}
    assert resolver_of_result(dns).text() == "search a\ndomain d\nnameserver 192.0.2.1\n"
    assert not resolver_of_result({})
    assert Resolver(["192.0.2.1"], search=["a"]).document() == {
        "servers": ["192.0.2.1"],
        "searches": ["a"],
        "options": [],
    }


def test_what_rkts_options_say() -> None:
    assert wanted_resolver([]).origin == "networks"
    assert wanted_resolver(["host"]).origin == "host"
    assert wanted_resolver(["none"]).origin == "none"
    given = wanted_resolver(["192.0.2.1"], search=["a"], domain="b", options=["rotate"])
    assert given.origin == "given"
    assert given.resolver.text() == "search a\ndomain b\nnameserver 192.0.2.1\noptions rotate\n"
    assert wanted_resolver([], options=["rotate"]).origin == "given"
    with pytest.raises(InvalidInput):
        wanted_resolver(["host", "192.0.2.1"])
    with pytest.raises(InvalidInput):
        wanted_resolver(["none"], domain="x")
    with pytest.raises(InvalidInput):
        wanted_resolver(["example.org"])


def test_servers_on_the_loopback() -> None:
    assert [is_local(server) for server in ("127.0.0.53", "::1", "192.0.2.1", "fe80::1%lo", "x")] == [
        True,
        True,
        False,
        False,
        False,
    ]

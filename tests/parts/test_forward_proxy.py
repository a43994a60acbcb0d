"""The HTTP proxy: both ways through it, its credentials, and that it leads nowhere but to this machine."""

from __future__ import annotations

import http.client
from collections.abc import Callable

import pytest

from tests.parts import faults
from tests.parts.certificates import Authority
from tests.parts.faulty_proxy import FaultyProxy
from tests.parts.forward_proxy import ForwardProxy
from tests.parts.registry import Registry

Make = Callable[..., ForwardProxy]


def test_plain_http_is_forwarded_by_its_whole_url(registry: Registry, forward_proxy: Make) -> None:
    proxy = forward_proxy()
    connection = http.client.HTTPConnection(proxy.host, timeout=5)
    connection.request("GET", f"{registry.base_url}/v2/")
    with connection.getresponse() as answer:
        assert (answer.status, answer.read()) == (200, b"{}")
    connection.close()
    assert [(seen.method, seen.target) for seen in proxy.seen] == [("GET", f"{registry.base_url}/v2/")]


def test_tls_goes_through_a_tunnel_to_a_name_that_only_the_proxy_knows(
    authority: Authority, forward_proxy: Make, faulty_proxy: Callable[..., FaultyProxy]
) -> None:
    named = faulty_proxy(certificate=authority.issue("registry.example"))
    named.add(faults.Answer(200, body=b"named"))
    proxy = forward_proxy(routes={"registry.example:443": named.host})
    connection = http.client.HTTPSConnection(proxy.host, timeout=5, context=authority.client_context())
    connection.set_tunnel("registry.example", 443)
    connection.request("GET", "/")
    with connection.getresponse() as answer:
        assert answer.read() == b"named"
    connection.close()
    assert [(seen.method, seen.target) for seen in proxy.seen] == [("CONNECT", "registry.example:443")]
    assert named.seen[0].headers["Host"] == "registry.example"


def test_credentials_are_asked_for(registry: Registry, forward_proxy: Make) -> None:
    proxy = forward_proxy(credentials=("ann", "secret"))
    connection = http.client.HTTPConnection(proxy.host, timeout=5)
    connection.request("GET", f"{registry.base_url}/v2/")
    with connection.getresponse() as answer:
        assert answer.status == 407
        answer.read()
    connection.request(
        "GET", f"{registry.base_url}/v2/", headers={"Proxy-Authorization": "Basic YW5uOnNlY3JldA=="}
    )
    with connection.getresponse() as answer:
        assert answer.status == 200
    connection.close()


@pytest.mark.parametrize("place", ["192.0.2.1:80", "registry.example:80", "127.0.0.1"])
def test_no_way_leads_off_the_loopback_interface(place: str, forward_proxy: Make) -> None:
    proxy = forward_proxy()
    connection = http.client.HTTPConnection(proxy.host, timeout=5)
    connection.request("CONNECT", place)
    with connection.getresponse() as answer:
        assert answer.status == 502
    connection.close()

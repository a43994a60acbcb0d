"""Redirects and repetition."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from carob.errors import (
    CarobError,
    Conflict,
    CorruptData,
    NotFound,
    PermissionDenied,
    Rejected,
    TimedOut,
    Unavailable,
    Unsupported,
)
from carob.image.registry.limits import Limits
from carob.spec.oci.descriptor import MANIFEST
from tests.parts.certificates import Authority
from tests.parts.faults import Answer, Drop, Redirect, Stall, Trickle, too_many, unavailable
from tests.parts.faulty_proxy import FaultyProxy
from tests.parts.registry import Registry as Part
from tests.unit.image.registry.conftest import Connect
from tests.unit.image.registry.images import Image

Proxy = Callable[..., FaultyProxy]
ABSENT = "sha256:" + "0" * 64


def counted(front: FaultyProxy) -> int:
    return len([seen for seen in front.seen if seen.target != "/v2/"])


# --- redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(faulty_proxy: Proxy, connect: Connect, status: int) -> None:
    front, storage = faulty_proxy(), faulty_proxy()
    front.add(Redirect("{self}/second", status), target="/blobs/")
    front.add(Redirect(f"{storage.base_url}/third?sig=x%2By", status), target="second")
    storage.add(Answer(200, {}, b"data"))
    answer = connect(front.host).get_blob("x", ABSENT)
    assert answer.document("x") == b"data"
    assert answer.is_elsewhere
    assert storage.seen[0].target == "/third?sig=x%2By"


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("file:///etc/passwd", "neither http nor https"),
        ("ftp://127.0.0.1/x", "neither http nor https"),
        ("gopher://127.0.0.1/x", "neither http nor https"),
        ("http://user:hunter2@127.0.0.1/x", "user name"),
        ("http://[::1/x", "no IPv6 address"),
        ("http://127.0.0.1:99999/x", "no port"),
        ("http://127.0.0.1\\@evil.example/", "character that no URL has"),
        ("http://127.0.0.1/a b", "character that no URL has"),
        ("", "it is empty"),
    ],
)
def test_redirects_that_lead_to_no_web_address(
    faulty_proxy: Proxy, connect: Connect, location: str, words: str
) -> None:
    front = faulty_proxy()
    front.add(Redirect(location), target="/blobs/", times=None)
    with pytest.raises(CorruptData, match=words) as caught:
        connect(front.host).get_blob("x", ABSENT)
    assert "hunter2" not in str(caught.value)
    assert counted(front) == 1


def test_redirects_without_a_location(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    front.add(Answer(302), target="/blobs/")
    with pytest.raises(CorruptData, match="it is empty"):
        connect(front.host).get_blob("x", ABSENT)


def test_a_circle(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    front.add(Redirect("{self}{target}"), target="/blobs/", times=None)
    with pytest.raises(CorruptData, match="in a circle"):
        connect(front.host).get_blob("x", ABSENT)
    assert counted(front) == 1


def test_a_wider_circle(faulty_proxy: Proxy, connect: Connect) -> None:
    one, two = faulty_proxy(), faulty_proxy()
    one.add(Redirect(f"{two.base_url}/a"), times=None, target="/blobs/|/b")
    two.add(Redirect(f"{one.base_url}/b"), times=None)
    with pytest.raises(CorruptData, match="in a circle"):
        connect(one.host).get_blob("x", ABSENT)
    assert counted(one) + counted(two) == 3


def test_a_way_without_end(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    front.add(Redirect("{self}{target}0"), target="/blobs/", times=None)
    with pytest.raises(CorruptData, match="too many redirects"):
        connect(front.host).get_blob("x", ABSENT)
    assert counted(front) == 11


def test_away_from_tls_only_where_that_is_insecure_anyway(
    faulty_proxy: Proxy, connect: Connect, authority: Authority
) -> None:
    front, plain = faulty_proxy(certificate=authority.issue()), faulty_proxy()
    front.add(Redirect(f"{plain.base_url}/data?sig=hunter2"), target="/blobs/", times=None)
    plain.add(Answer(200, {}, b"data"), times=None)
    with pytest.raises(Rejected, match="away from TLS") as caught:
        connect(front.host, ca=str(authority.ca_file)).get_blob("x", ABSENT)
    assert "hunter2" not in str(caught.value)
    assert plain.seen == []
    assert connect(front.host, insecure=True).get_blob("x", ABSENT).document("x") == b"data"


def test_towards_tls(faulty_proxy: Proxy, connect: Connect, authority: Authority) -> None:
    front, storage = faulty_proxy(), faulty_proxy(certificate=authority.issue())
    front.add(Redirect(f"{storage.base_url}/data"), target="/blobs/")
    storage.add(Answer(200, {}, b"data"))
    assert connect(front.host, ca=str(authority.ca_file)).get_blob("x", ABSENT).document("x") == b"data"


def test_an_untrusted_host_behind_a_redirect(
    faulty_proxy: Proxy, connect: Connect, authority: Authority
) -> None:
    front, storage = faulty_proxy(), faulty_proxy(certificate=authority.issue())
    front.add(Redirect(f"{storage.base_url}/data"), target="/blobs/")
    with pytest.raises(Rejected, match="not trusted"):
        connect(front.host).get_blob("x", ABSENT)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_what_writes_is_not_turned_into_what_reads(
    faulty_proxy: Proxy, connect: Connect, status: int
) -> None:
    front = faulty_proxy()
    front.add(Redirect("{self}/elsewhere", status), method="PUT", times=None)
    with pytest.raises(CorruptData, match=f"redirects PUT by {status}"):
        connect(front.host).put_manifest("x", "latest", MANIFEST, b"{}")
    assert counted(front) == 1


def test_what_writes_is_sent_again_where_it_is_redirected_with_its_body(
    registry: Part, faulty_proxy: Proxy, connect: Connect
) -> None:
    image, front = Image(b"redirected"), faulty_proxy(registry)
    image.push(connect(registry.host), "requester/redirected", "old")
    front.add(Redirect(f"{registry.base_url}{{target}}", 307), method="PUT", times=None)
    connect(front.host).put_manifest("requester/redirected", "new", MANIFEST, image.manifest)
    assert connect(registry.host).manifest("requester/redirected", "new")[1] == image.manifest


# --- repetition -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_waited_for(faulty_proxy: Proxy, connect: Connect, status: int) -> None:
    front = faulty_proxy()
    front.add(Answer(status), target="/manifests/", times=2)
    front.add(Answer(200, {}, b"{}"), target="/manifests/")
    assert connect(front.host).manifest("x", "latest")[1] == b"{}"


@pytest.mark.parametrize("fault", [Drop(None), Drop(None, reset=True)])
def test_broken_connections_are_mended(faulty_proxy: Proxy, connect: Connect, fault: Drop) -> None:
    front = faulty_proxy()
    front.add(fault, target="/manifests/", times=2)
    front.add(Answer(200, {}, b"{}"), target="/manifests/")
    assert connect(front.host).manifest("x", "latest")[1] == b"{}"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Rejected),
        (403, PermissionDenied),
        (404, NotFound),
        (405, Unsupported),
        (406, Unsupported),
        (409, Conflict),
        (410, NotFound),
        (413, Rejected),
        (416, Rejected),
        (501, Unsupported),
        (204, CorruptData),
        (304, CorruptData),
        (599, Unavailable),
    ],
)
def test_what_does_not_pass_is_said_at_once(
    faulty_proxy: Proxy, connect: Connect, status: int, error: type[CarobError]
) -> None:
    front = faulty_proxy()
    front.add(Answer(status), target="/manifests/", times=None)
    with pytest.raises(error) as caught:
        connect(front.host).manifest("x", "latest")
    assert front.host in caught.value.message
    assert counted(front) == 1


def test_attempts_come_to_an_end(faulty_proxy: Proxy, connect: Connect, limits: Limits) -> None:
    front = faulty_proxy()
    front.add(unavailable(), times=None, target="/manifests/")
    with pytest.raises(Unavailable, match="status 503"):
        connect(front.host).manifest("x", "latest")
    assert counted(front) == limits.attempts


def test_retry_after_is_waited_for(faulty_proxy: Proxy, connect: Connect) -> None:
    front = faulty_proxy()
    front.add(too_many("1"), target="/manifests/")
    front.add(Answer(200, {}, b"{}"), target="/manifests/")
    begun = time.monotonic()
    connect(front.host).manifest("x", "latest")
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize("value", ["soon", "-1", "1e9", "Thu, 01 Jan 1970 00:00:00 GMT", "\x7f"])
def test_a_retry_after_that_says_nothing(faulty_proxy: Proxy, connect: Connect, value: str) -> None:
    front = faulty_proxy()
    front.add(too_many(value), target="/manifests/")
    front.add(Answer(200, {}, b"{}"), target="/manifests/")
    assert connect(front.host).manifest("x", "latest")[1] == b"{}"


@pytest.mark.parametrize("value", ["3", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_retry_after_beyond_patience_ends_it_at_once(
    faulty_proxy: Proxy, connect: Connect, value: str
) -> None:
    front = faulty_proxy()
    front.add(unavailable(value), target="/manifests/", times=None)
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        connect(front.host).manifest("x", "latest")
    assert time.monotonic() - begun < 2
    assert counted(front) == 1


def test_a_server_that_is_silent(faulty_proxy: Proxy, connect: Connect, limits: Limits) -> None:
    front = faulty_proxy()
    front.add(Stall(None), target="/manifests/", times=None)
    quick = replace(limits, headers_s=0.3, attempts=2)
    with pytest.raises(TimedOut, match="does not answer") as caught:
        connect(front.host, limits=quick).manifest("x", "latest")
    assert caught.value.hint
    assert counted(front) == 2


def test_closing_ends_waiting(faulty_proxy: Proxy, connect: Connect, limits: Limits) -> None:
    front = faulty_proxy()
    front.add(unavailable("60"), target="/manifests/", times=None)
    client = connect(front.host, limits=replace(limits, longest_wait_s=60))
    timer = threading.Timer(0.3, client.close)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="given up"):
        client.manifest("x", "latest")
    timer.join()
    assert time.monotonic() - begun < 10


def test_closing_ends_an_answer_that_is_awaited(
    faulty_proxy: Proxy, connect: Connect, limits: Limits
) -> None:
    front = faulty_proxy()
    front.add(Stall(None), target="/manifests/", times=None)
    client = connect(front.host, limits=replace(limits, headers_s=60))
    timer = threading.Timer(0.3, client.close)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="given up"):
        client.manifest("x", "latest")
    timer.join()
    assert time.monotonic() - begun < 10


def test_nobody_listens(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Unavailable, match="refused") as caught:
        connect(host).manifest("x", "latest")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert host in caught.value.message


def test_a_host_that_nobody_knows(connect: Connect, limits: Limits) -> None:
    with pytest.raises(Unavailable, match=r"no-such-host\.invalid: its address is not known"):
        connect("no-such-host.invalid", limits=replace(limits, attempts=1)).manifest("x", "latest")


def test_connections_to_few_hosts_are_kept(
    faulty_proxy: Proxy, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry may redirect to any number of hosts."""
    monkeypatch.setattr("carob.image.registry.transport._POOLS", 2)
    front, *others = (faulty_proxy() for _ in range(5))
    client = connect(front.host)
    for _ in range(2):
        for other in others:
            front.add(Redirect(f"{other.base_url}/data"), target="/blobs/")
            other.add(Answer(200, {}, b"data"))
            assert client.get_blob("x", ABSENT).document("x") == b"data"
            assert len(client.transport._pools) == 2


def test_a_request_does_not_take_for_ever_by_way_of_redirects(
    faulty_proxy: Proxy, connect: Connect, limits: Limits
) -> None:
    front = faulty_proxy()
    front.add(_SlowRedirect("{self}{target}0"), target="/blobs/", times=None)
    with pytest.raises(TimedOut, match="by redirects took too long"):
        connect(front.host, limits=replace(limits, request_s=0.5)).get_blob("x", ABSENT)
    assert counted(front) < 8


class _SlowRedirect(Redirect):
    def before(self, exchange):  # type: ignore[no-untyped-def]
        time.sleep(0.2)
        return super().before(exchange)


def test_a_request_is_not_repeated_beyond_its_time(
    faulty_proxy: Proxy, connect: Connect, limits: Limits
) -> None:
    front = faulty_proxy()
    front.add(too_many("1"), target="/manifests/", times=None)
    with pytest.raises(Unavailable, match="limits the rate"):
        connect(front.host, limits=replace(limits, request_s=1.5)).manifest("x", "latest")
    assert counted(front) == 2


def test_what_is_not_wanted_is_not_read(faulty_proxy: Proxy, connect: Connect) -> None:
    """The body of a redirect is thrown away, and not waited for where it is long or slow."""
    front = faulty_proxy()
    front.add(_Long({"Location": "{self}/data"}), target="/blobs/")
    front.add(_Slow({"Location": "{self}/more"}), target="/data")
    front.add(Answer(200, {}, b"data"), target="/more")
    begun = time.monotonic()
    assert connect(front.host).get_blob("x", ABSENT).document("x") == b"data"
    assert time.monotonic() - begun < 5
    assert front.seen[-3].body_sent < 1 << 30


class _Long(Answer):
    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(302, headers)

    def before(self, exchange):  # type: ignore[no-untyped-def]
        reply = super().before(exchange)
        assert reply is not None
        reply.body, reply.length = itertools.repeat(bytes(1 << 16)), 1 << 50
        return reply


class _Slow(Answer):
    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(302, headers, bytes(1 << 14))

    def before(self, exchange):  # type: ignore[no-untyped-def]
        reply = super().before(exchange)
        Trickle(1000).change(reply, exchange)
        return reply
